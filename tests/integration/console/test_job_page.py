"""One job's page."""

from tests.support.browser import Tab
from tests.support.console_page import sign_in
from tests.support.fake_api import FakeApi, problem


def test_the_page_of_a_job(tab: Tab, api: FakeApi) -> None:
    job = api.add("completed", metadata={"album": "blue"}, correlationId="abc")["jobId"]
    sign_in(tab, api, f"console?job={job}")
    for text in ("completed", "album", "separate 39.0 s", "delivered", "Vocals", "abc"):
        tab.sees(text, "main")
    tab.sees("loading the model 2.0 s, begun with fetch", "main")  # of which some beside the source
    tab.sees("rest of load 0.7 s", "main")
    tab.sees("WorkerOom · out of memory · ran 1 min", "main")
    tab.sees("split-1-abcde", "main")
    tab.sees("a Job was created\t2 times", "main")
    assert f"name: {job}" in tab.run("return document.querySelector('pre').textContent")
    failed = api.add("failed")["jobId"]
    sign_in(tab, api, f"console?job={failed}")
    tab.sees("source_not_found: the source answered 404", "main")
    told_twice = {"code": "canceled", "message": "The job was canceled."}
    canceled = api.add("canceled", failure=told_twice)["jobId"]
    sign_in(tab, api, f"console?job={canceled}")
    tab.sees("canceled", ".state")
    assert tab.text(".state").strip() == "canceled"
    starts = {"position": 1, "reason": "Starting", "message": "Job a is starting."}
    starting = api.add("starting", queue=starts)["jobId"]
    sign_in(tab, api, f"console?job={starting}")
    tab.sees("Job a is starting.", ".state")
    assert "in the queue" not in tab.text(".state")
    sign_in(tab, api, "console?job=nobody")
    tab.sees("There is no such job.", "main")
    assert tab.text("#liveness") == "", "nothing is tried again"


def test_a_job_that_went_while_nobody_was_told_is_said_to_be_gone(tab: Tab, api: FakeApi) -> None:
    """As where the replica that told of it ended before its deletion."""
    job = api.add("queued")["jobId"]
    api.refusals[f"/jobs/{job}/events"] = [problem(503, "cluster_unavailable", "gone")]
    sign_in(tab, api, f"console?job={job}")
    tab.sees("asks every 5 s", "#liveness")
    del api.jobs[job]
    tab.sees("This job has been deleted.", "main")
    assert tab.text("#liveness") == ""


def test_the_page_of_a_job_follows_it(tab: Tab, api: FakeApi) -> None:
    job = api.add("running")["jobId"]
    sign_in(tab, api, f"console?job={job}")
    tab.sees("separate, 40 %", "main")
    api.change(job, progress={"stage": "upload", "percent": 95})
    tab.sees("upload, 95 %", "main")


def test_the_manifest_is_shown_when_it_is_opened(tab: Tab, api: FakeApi) -> None:
    job = api.add("completed")["jobId"]
    sign_in(tab, api, f"console?job={job}")
    tab.sees("Manifest", "main")
    assert f"GET /jobs/{job}/manifest" not in api.calls
    tab.click(".manifest summary")
    tab.sees(f'"jobId": "{job}"', ".manifest pre")
    failed = api.add("failed")["jobId"]
    sign_in(tab, api, f"console?job={failed}")
    tab.sees("split-1-abcde", "main")
    assert tab.run("return document.querySelector('.manifest').hidden")


def test_stems_that_went_elsewhere_are_said_to_be_the_callers(tab: Tab, api: FakeApi) -> None:
    job = api.add("completed")["jobId"]
    sign_in(tab, api, f"console?job={job}")
    tab.click(".desk button")
    tab.sees("its stems went to the caller's own URLs", "main")
