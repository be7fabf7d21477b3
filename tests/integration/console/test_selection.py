"""What is done to a selection of jobs, and what is said before and after."""

from tests.support.browser import Tab
from tests.support.console_page import sign_in
from tests.support.fake_api import FakeApi, problem


def test_what_will_happen_to_a_selection_is_said_before_it_is_done(tab: Tab, api: FakeApi) -> None:
    for state in ("completed", "running", "queued"):
        api.add(state)
    sign_in(tab, api)
    tab.sees("3 jobs on this page")
    tab.click("thead input")
    tab.click("[data-action=cancel]")
    preview = tab.text("dialog")
    assert "1 already finished: left as it is" in preview
    assert "1 running: stopped, and its GPU freed" in preview
    assert "1 waiting: will never start" in preview
    assert not [call for call in api.calls if call.startswith("DELETE")]
    tab.click("dialog .primary")
    tab.sees("Done for 2 jobs.", "dialog")
    cancels = [call for call in api.calls if call.startswith("DELETE")]
    assert sorted(cancels) == ["DELETE /jobs/split-000001", "DELETE /jobs/split-000002"]


def test_an_action_that_is_refused_names_its_job(tab: Tab, api: FakeApi) -> None:
    job = api.add("failed")["jobId"]
    path = f"/jobs/{job}/retry"
    api.refusals[path] = [
        problem(429, "queue_full", "later", **{"Retry-After": "1"}),
        problem(409, "secret_gone", "its URLs are gone: send the request anew"),
    ]
    sign_in(tab, api, f"console?job={job}")
    tab.click("[data-action=retry]")
    tab.click("dialog .primary")
    tab.sees(f"{job}: its URLs are gone", "dialog")
    assert api.calls.count(f"POST {path}") == 2


def test_a_job_that_ended_while_it_was_asked_about_is_not_called_canceled(
    tab: Tab, api: FakeApi
) -> None:
    job = api.add("running")["jobId"]
    sign_in(tab, api, f"console?job={job}")
    tab.click("[data-action=cancel]")
    api.jobs[job]["state"] = "completed"
    tab.click("dialog .primary")
    tab.sees("Done for 0 jobs.", "dialog")
    tab.sees(f"{job}: it has completed already, and stays as it is", "dialog")


def test_everything_that_matches_can_be_selected(tab: Tab, api: FakeApi) -> None:
    for _ in range(60):
        api.add("failed")
    sign_in(tab, api)
    tab.sees("50 jobs on this page")
    tab.run("[...document.querySelectorAll('.bar button')].at(-1).click()")
    tab.sees("60 selected")
    tab.click("[data-action=redeliver]")
    tab.sees("60 failed: its webhook is sent again, with the same id", "dialog")
