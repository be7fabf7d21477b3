"""The list of jobs and the queue at a glance: paged, filtered, live."""

from urllib.parse import urlencode

from tests.support.browser import Tab
from tests.support.console_page import ROWS, jobs_shown, sign_in
from tests.support.fake_api import FakeApi, problem
from tests.support.waiting import eventually


def test_ten_thousand_jobs_are_paged_by_the_apis_cursor(tab: Tab, api: FakeApi) -> None:
    for _ in range(10_000):
        api.add()
    sign_in(tab, api)
    tab.sees("50 jobs on this page")
    assert jobs_shown(tab)[0] == "split-009999"
    tab.click("[rel=next]")
    eventually(lambda: "split-009949" in jobs_shown(tab))
    assert "cursor=50" in tab.run("return location.search")
    assert tab.run(ROWS) == 50
    tab.run("history.back()")
    eventually(lambda: "split-009999" in jobs_shown(tab))


def test_who_is_about_to_turn_the_page_keeps_the_focus_while_rows_change(
    tab: Tab, api: FakeApi
) -> None:
    for _ in range(51):
        api.add("running")
    sign_in(tab, api)
    tab.sees("50 jobs on this page")
    tab.run("document.querySelector('[rel=next]').focus()")
    api.change("split-000050", progress={"stage": "upload", "percent": 95})
    tab.sees("upload 95 %", "table")
    assert tab.run("return document.activeElement.rel") == "next"


def test_filters_stand_in_the_address(tab: Tab, api: FakeApi) -> None:
    for state in ("completed", "failed", "failed", "running"):
        api.add(state)
    sign_in(tab, api, "console?status=failed")
    eventually(lambda: jobs_shown(tab) == ["split-000002", "split-000001"])
    assert tab.run("return document.querySelector('[value=failed]').checked")
    tab.fill("[name=versionId]", "song-1")
    tab.press("Enter")
    eventually(lambda: jobs_shown(tab) == ["split-000001"])
    assert tab.run("return location.search") == "?status=failed&versionId=song-1"


def test_model_and_time_stay_in_the_address_beside_what_is_filtered_by_next(
    tab: Tab, api: FakeApi
) -> None:
    api.add("failed", aiModel="another", versionId="song")
    wanted = api.add("failed", versionId="song")
    kept = {
        "model": wanted["aiModel"],
        "since": "2000-01-31T12:00:00.000Z",
        "until": "2100-01-31T12:00:00.000Z",
    }
    sign_in(tab, api, f"console?{urlencode(kept)}")
    eventually(lambda: jobs_shown(tab) == [wanted["jobId"]])
    tab.fill("[name=versionId]", "song")
    tab.press("Enter")
    address = "return Object.fromEntries(new URLSearchParams(location.search))"
    eventually(lambda: tab.run(address) == kept | {"versionId": "song"})
    eventually(lambda: jobs_shown(tab) == [wanted["jobId"]])


def test_the_queue_at_a_glance(tab: Tab, api: FakeApi) -> None:
    for state in ("queued", "queued", "running", "failed"):
        api.add(state)
    sign_in(tab, api)
    tab.sees("source_not_found 1", ".reasons")
    tab.sees("Queued 2", ".reasons")
    tab.sees("1. in the queue, done in about 2 min", "table")
    assert "Waiting\n2" in tab.text(".numbers")
    assert "Running\n1 of 4" in tab.text(".numbers")
    assert "All done in\n10 min" in tab.text(".numbers")


def test_a_paused_installation_says_so(tab: Tab, api: FakeApi) -> None:
    api.capacity = {"max_active_jobs": None, "max_queued_jobs": 100, "paused": True}
    api.add("queued")
    sign_in(tab, api)
    tab.sees("nothing new is started", ".reasons")
    assert "Waiting\n1 of 100" in tab.text(".numbers")
    assert "Running\n0\n" in tab.text(".numbers")


def test_the_list_follows_what_happens(tab: Tab, api: FakeApi) -> None:
    first = api.add("queued")["jobId"]
    sign_in(tab, api)
    tab.sees("live", "#liveness")
    api.change(first, state="running", progress={"stage": "separate", "percent": 55})
    tab.sees("separate 55 %", "table")
    second = api.add("queued")["jobId"]
    eventually(lambda: jobs_shown(tab) == [second, first])
    api.delete(first)
    eventually(lambda: jobs_shown(tab) == [second])


def test_a_job_that_no_longer_fits_the_filter_leaves_the_list(tab: Tab, api: FakeApi) -> None:
    job = api.add("running")["jobId"]
    sign_in(tab, api, "console?status=running")
    tab.sees("live", "#liveness")
    api.change(job, state="completed")
    tab.sees("No jobs here.")


def test_a_job_belongs_into_the_list_by_the_page_as_by_the_api(tab: Tab, api: FakeApi) -> None:
    """From `since` on, and before `until`."""
    sign_in(tab, api)
    tab.sees("No jobs here.")
    taken = (
        "const {matches} = await import('./assets/filter.js');"
        "const job = {state: 'failed', createdAt: '2026-01-31T12:00:00Z'};"
        "return ['since', 'until'].map((name) =>"
        " matches(new URLSearchParams({[name]: job.createdAt}), job))"
    )
    assert tab.run(taken) == [True, False]


def test_without_a_stream_it_asks_again_and_again(tab: Tab, api: FakeApi) -> None:
    job = api.add("queued")["jobId"]
    api.streams = False
    sign_in(tab, api)
    tab.sees("asks every 5 s", "#liveness")
    api.change(job, state="failed", failure={"code": "gpu_error", "message": "lost"})
    tab.sees("gpu_error", "table")


def test_a_stream_that_breaks_off_is_opened_again(tab: Tab, api: FakeApi) -> None:
    api.add("queued")
    api.refusals["/events"] = [problem(503, "cluster_unavailable", "gone")]
    sign_in(tab, api)
    tab.sees("asks every 5 s", "#liveness")
    tab.sees("live", "#liveness")
    assert api.calls.count("GET /events") >= 2


def test_a_filter_that_the_api_refuses_is_not_told_as_an_outage(tab: Tab, api: FakeApi) -> None:
    api.streams = False
    refused = problem(422, "request_invalid", "not acceptable: status")
    api.refusals["/jobs"] = [refused] * 20
    sign_in(tab, api, "console?status=nonesuch")
    tab.sees("asks every 5 s", "#liveness")
    tab.sees("not acceptable: status", "main")
