"""Who is let in to the console, by which token, and what is kept of it."""

from tests.support.browser import Tab
from tests.support.console_page import sign_in
from tests.support.fake_api import KUBERNETES_TOKEN, TOKEN, FakeApi, problem


def test_the_signing_token_signs_in_the_browser_and_is_kept_nowhere(tab: Tab, api: FakeApi) -> None:
    api.add()
    sign_in(tab, api, token="not-the-token")
    tab.sees("X-Signature does not match", "form")
    assert "Sign out" not in tab.text("header")
    tab.run("document.querySelector('[name=token]').value = ''")
    tab.fill("[name=token]", TOKEN)
    tab.press("Enter")
    tab.sees("song-0", "table")
    kept = tab.run(
        "return JSON.stringify([localStorage, sessionStorage, document.cookie, location.href])"
        " + document.documentElement.outerHTML"
    )
    assert TOKEN not in kept


def test_a_kubernetes_token_is_asked_for_only_where_it_is_taken(tab: Tab, api: FakeApi) -> None:
    sign_in(tab, api)
    tab.sees("No jobs here.")
    tab.click("#sign-out")
    tab.sees("Signing token")
    assert "Kubernetes" not in tab.text("main")
    api.kubernetes = True
    sign_in(tab, api, token=KUBERNETES_TOKEN)
    tab.sees("No jobs here.")


def test_who_is_no_longer_let_in_signs_in_again(tab: Tab, api: FakeApi) -> None:
    refused = [problem(403, "forbidden", "you may not list splitjobs") for _ in range(9)]
    api.refusals["/events"] = list(refused)
    sign_in(tab, api)
    tab.sees("you may not list splitjobs")
    tab.sees("Sign in", "h1")
