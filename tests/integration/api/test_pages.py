"""The pages in a real browser, on the API as it is shipped."""

from collections.abc import Iterator

import httpx
import pytest
from tests.support.api_harness import NAMESPACE, TOKEN, Api, body, finish, splitjobs
from tests.support.browser import Tab, browser
from tests.support.waiting import eventually
from tests.support.whole_api import TOKEN as WHOLE_API_TOKEN
from tests.support.whole_api import whole_api

from splitjob_local.cluster.local_cluster import LocalCluster


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with browser(tmp_path_factory.mktemp("profile")) as tab:
        tab.resize(1000, 800)
        yield tab
        assert tab.troubles == []


def sign_in(tab: Tab, url: str) -> None:
    tab.open(url)
    eventually(lambda: tab.run("return Boolean(document.querySelector('[name=token]'))"))
    tab.fill("[name=token]", TOKEN)
    tab.press("Enter")


def test_the_description_is_read_and_a_call_is_tried_in_the_browser(tab: Tab, api: Api) -> None:
    tab.open(f"{api.url}/docs")
    tab.sees("POST /split")
    for text in ("Webhooks", "idempotency_conflict", "openssl dgst", "FinalEvent"):
        assert text in tab.run("return document.body.textContent")
    assert tab.serious_barriers() == []
    tab.run("for (const one of document.querySelectorAll('details')) one.open = true")
    assert tab.serious_barriers() == []
    assert tab.run("return document.documentElement.scrollWidth - innerWidth") <= 0
    tab.fill("[name=token]", TOKEN)
    tab.press("Enter")
    tab.sees("Signed in")
    tab.run("document.querySelector('#models form').requestSubmit()")
    tab.sees("200 OK", "#models")
    tab.sees("htdemucs", "#models")


def test_a_stream_that_is_tried_is_shown_as_it_comes_until_it_is_stopped(tab: Tab) -> None:
    call = "#events_of_job"
    with whole_api() as api:
        job = api.job()
        tab.open(str(api.http.base_url.join("/docs")))
        tab.sees("POST /split")
        tab.run("for (const one of document.querySelectorAll('details')) one.open = true")
        tab.fill("[name=token]", WHOLE_API_TOKEN)
        tab.press("Enter")
        tab.sees("Signed in")
        tab.fill(f"{call} [name=job_id]", job)
        for word in ("Send", "Stop"):
            assert tab.text(f"{call} form button") == word
            tab.click(f"{call} form button")
            tab.sees(f'"jobId":"{job}"', call)  # long before the end of the job
        tab.sees("Send", f"{call} form button")


def test_a_link_to_a_call_opens_it(tab: Tab, api: Api) -> None:
    tab.open(f"{api.url}/docs#models")
    eventually(lambda: tab.run("return document.querySelector('#models')?.open"))


def test_a_job_is_shown_as_the_cluster_holds_it(api: Api, kube: LocalCluster) -> None:
    job = api.post(body("as-it-is")).json()["jobId"]
    about = {"apiVersion": "audio.track-tree.com/v1alpha1", "kind": "SplitJob", "name": job}
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{job}.1", "namespace": NAMESPACE},
        "involvedObject": {**about, "namespace": NAMESPACE},
        "lastTimestamp": "2026-01-01T00:00:00Z",
        "reason": "AttemptStarted",
        "message": "a Job was created",
    }
    kube.objects.create(event)
    shown = api.get(f"/jobs/{job}/resource").json()
    assert shown["resource"]["spec"]["request"]["versionId"] == "as-it-is"
    assert "managedFields" not in shown["resource"]["metadata"]
    assert [one["message"] for one in shown["events"]] == ["a Job was created"]
    assert "very-secret" not in api.get(f"/jobs/{job}/resource").text
    assert api.get("/jobs/split-nobody/resource").status_code == 404
    assert api.get("/jobs/Not%20a%20name/resource").status_code == 404


def test_the_console_follows_the_jobs_of_the_real_api(
    tab: Tab, api: Api, kube: LocalCluster
) -> None:
    fails = api.post(body("console-fails")).json()["jobId"]
    waits = api.post(body("console-waits")).json()["jobId"]
    sign_in(tab, f"{api.url}/console?model=htdemucs")
    tab.sees("live", "#liveness")
    for job in (fails, waits):
        tab.sees(job, "table")
    failure = {"code": "source_not_found", "message": "the source answered 404"}
    finish(kube, fails, "False", "SourceNotFound", failure=failure)
    tab.sees("source_not_found", f"[data-job={fails}]")
    tab.sees("source_not_found", ".reasons")
    tab.click(f"[data-job={fails}] a")
    tab.sees("the source answered 404", "main")
    tab.sees("SourceNotFound", "main")


def test_the_pages_are_there_for_a_head_too(api: Api) -> None:
    for path in ("/docs", "/console", "/assets/console.js"):
        answer = httpx.head(api.url + path)
        assert (answer.status_code, answer.content) == (200, b"")


def test_a_job_that_is_canceled_in_the_console_is_canceled_in_the_cluster(
    tab: Tab, api: Api, kube: LocalCluster
) -> None:
    job = api.post(body("console-cancels")).json()["jobId"]
    sign_in(tab, f"{api.url}/console?versionId=console-cancels")
    tab.click(f"[data-job={job}] input")
    tab.click("[data-action=cancel]")
    tab.sees("1 waiting: will never start", "dialog")
    tab.click("dialog .primary")
    tab.sees("Done for 1 job.", "dialog")
    [found] = splitjobs(kube, "console-cancels")
    assert found["spec"]["canceled"] is True
