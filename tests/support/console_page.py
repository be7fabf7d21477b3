"""What tests do on the console's pages."""

from tests.support.browser import Tab
from tests.support.fake_api import TOKEN, FakeApi
from tests.support.waiting import eventually

ROWS = "return document.querySelectorAll('tbody tr').length"


def sign_in(tab: Tab, api: FakeApi, address: str = "console", token: str = TOKEN) -> None:
    tab.open(f"{api.url}/{address}")
    eventually(lambda: tab.run("return Boolean(document.querySelector('[name=token]'))"))
    tab.fill("[name=token]", token)
    tab.press("Enter")


def jobs_shown(tab: Tab) -> list[str]:
    shown: list[str] = tab.run(
        "return [...document.querySelectorAll('tbody tr')].map((row) => row.dataset.job)"
    )
    return shown
