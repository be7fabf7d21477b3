"""`python -m tests.support.screenshots`: the pictures of docs/console.md, taken anew."""

import tempfile
from pathlib import Path

from tests.support.browser import Tab, browser
from tests.support.fake_api import TOKEN, FakeApi, a_result, serving
from tests.support.waiting import eventually

IMAGES = Path(__file__).parents[2] / "docs" / "images"
STATES = ("completed", "failed", "completed", "canceled", "completed", "running", "queued")


def main() -> None:
    """Write the pictures."""
    IMAGES.mkdir(exist_ok=True)
    api = FakeApi()
    for state in STATES:
        api.add(state)
    api.change("split-000004", result=a_result(waveforms=True))
    with tempfile.TemporaryDirectory() as folder, serving(api), browser(Path(folder)) as tab:
        tab.resize(1000, 760)
        _sign_in(tab, f"{api.url}/console")
        tab.sees("7 jobs", "main")
        tab.sees("source_not_found", ".reasons")
        tab.screenshot(IMAGES / "console-jobs.png")
        tab.resize(1000, 1100)
        _sign_in(tab, f"{api.url}/console?job=split-000004")
        _seek(tab)
        tab.screenshot(IMAGES / "console-stems.png")
        tab.resize(360, 900)
        _sign_in(tab, f"{api.url}/console?job=split-000004")
        _seek(tab)
        tab.run("document.querySelector('.stems').scrollIntoView()")
        tab.screenshot(IMAGES / "console-job.png")


def _seek(tab: Tab) -> None:
    """Wait until the waveforms are drawn; go to the middle of the song."""
    drawn = "return document.querySelectorAll('.waveform path').length"
    eventually(lambda: tab.run(drawn) == 5)
    tab.click("[data-stem=vocals] .waveform")
    tab.run("scrollTo(0, 0)")


def _sign_in(tab: Tab, url: str) -> None:
    tab.open(url)
    eventually(lambda: tab.run("return Boolean(document.querySelector('[name=token]'))"))
    tab.fill("[name=token]", TOKEN)
    tab.press("Enter")


if __name__ == "__main__":
    main()
