"""The console without a mouse, on a phone, and for assistive technology."""

from tests.support.browser import Tab
from tests.support.console_page import sign_in
from tests.support.fake_api import FakeApi
from tests.support.waiting import eventually


def test_nothing_keeps_people_out(tab: Tab, api: FakeApi) -> None:
    """axe finds nothing serious on any view."""
    for state in ("completed", "running", "failed"):
        api.add(state)
    sign_in(tab, api, token="wrong")
    tab.sees("does not match", "main")
    assert tab.serious_barriers() == []
    sign_in(tab, api, "console?status=running&status=completed")
    tab.sees("2 jobs", "main")
    tab.click("thead input")
    assert tab.serious_barriers() == []
    tab.click("[data-action=cancel]")
    assert tab.serious_barriers() == []
    for job in ("split-000000", "split-000002"):
        sign_in(tab, api, f"console?job={job}")
        tab.sees("split-1-abcde", "main")
        assert tab.serious_barriers() == []


def test_nothing_has_to_be_scrolled_sideways_on_a_phone(tab: Tab, api: FakeApi) -> None:
    tab.resize(360, 800)
    for state in ("completed", "running", "queued"):
        api.add(state, versionId="a-long-name-of-a-song-that-somebody-has-thought-of" * 2)
    for address in ("console?status=completed", *(f"console?job={job}" for job in api.jobs)):
        sign_in(tab, api, address)
        tab.sees("a-long-name", "main")
        assert tab.run("return document.documentElement.scrollWidth - innerWidth") <= 0


def test_it_works_by_keyboard(tab: Tab, api: FakeApi) -> None:
    api.add("running")
    sign_in(tab, api)
    tab.sees("1 job", "main")
    names = []
    for _ in range(40):
        tab.press("Tab")
        names.append(
            tab.run("return document.activeElement.innerText || document.activeElement.ariaLabel")
        )
        if names[-1] == "Select split-000000":
            tab.press("Space")
        if names[-1] == "Cancel":
            break
    assert "Select split-000000" in names, names
    tab.run("document.querySelector('[data-action=cancel]').focus()")
    tab.press("Enter")
    tab.sees("1 running: stopped", "dialog")
    tab.press("Escape")
    eventually(lambda: tab.run("return document.querySelector('dialog') === null"))
    assert not [call for call in api.calls if call.startswith("DELETE")]
