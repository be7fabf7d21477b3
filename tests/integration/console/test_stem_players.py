"""The stems of a job, played side by side, and their waveforms."""

from tests.support.browser import Tab
from tests.support.console_page import sign_in
from tests.support.fake_api import FakeApi, a_result, problem, waves
from tests.support.waiting import eventually
from tests.support.web import Web


def test_stems_play_together_and_each_is_muted_or_alone(
    tab: Tab, api: FakeApi, bucket: Web
) -> None:
    job = api.add("completed")["jobId"]
    for stem in ("drums", "bass", "other", "vocals"):
        api.media[stem] = bucket.give(f"/{stem}.wav", waves())
    sign_in(tab, api, f"console?job={job}")
    tab.click(".desk button")
    playing = "return [...document.querySelectorAll('audio')].every((one) => one.currentTime > 0.3)"
    eventually(lambda: tab.run(playing))
    places = tab.run("return [...document.querySelectorAll('audio')].map((one) => one.currentTime)")
    assert max(places) - min(places) < 0.5
    muted = "return [...document.querySelectorAll('audio')].map((one) => one.muted)"
    tab.click("[data-stem=bass] [aria-label^=Mute]")
    assert tab.run(muted) == [False, True, False, False]
    tab.click("[data-stem=vocals] [aria-label^=Solo]")
    assert tab.run(muted) == [True, True, True, False]
    tab.click(".desk button")
    eventually(lambda: tab.run("return document.querySelector('audio').paused"))


DRAWN = "return [...document.querySelectorAll('.waveform path')].length"
PLAYHEADS = "return [...document.querySelectorAll('.playhead')].map((one) => one.style.left)"


def test_the_song_is_drawn_and_a_click_or_a_key_moves_the_place_in_all_stems(
    tab: Tab, api: FakeApi, bucket: Web
) -> None:
    tab.resize(360, 800)
    job = api.add("completed", result=a_result(waveforms=True))["jobId"]
    for stem in ("drums", "bass", "other", "vocals"):
        api.media[stem] = bucket.give(f"/{stem}.wav", waves())
    sign_in(tab, api, f"console?job={job}")
    eventually(lambda: tab.run(DRAWN) == 5)
    order = "return [...document.querySelectorAll('.stems li')].map((one) => one.dataset.stem)"
    assert tab.run(order) == ["mixture", "drums", "bass", "other", "vocals"]
    tab.click("[data-stem=vocals] .waveform")
    assert (
        tab.run(
            "return new Set([...document.querySelectorAll('.playhead')].map("
            "(one) => one.style.left)).size"
        )
        == 1
    )
    assert 49 < float(tab.run(PLAYHEADS)[0].rstrip("%")) < 51
    assert tab.text("output") in {"0:04", "0:05"}
    tab.run("document.querySelector('[data-stem=mixture] .waveform').focus()")
    tab.press("Home")
    tab.press("ArrowRight")
    about = (
        "return ['now', 'text', 'max'].map((part) =>"
        " document.activeElement.getAttribute(`aria-value${part}`))"
    )
    assert tab.run(about) == ["5", "0:05", "10"]
    tab.click(".desk button")
    moving = "return document.querySelector('.waveform').getAttribute('aria-valuenow') > 5"
    eventually(lambda: tab.run(moving))
    tab.click(".desk button")
    assert tab.serious_barriers() == []
    assert tab.run("return document.documentElement.scrollWidth - innerWidth") <= 0


def test_one_waveform_is_reached_by_tab_and_not_all_of_them(tab: Tab, api: FakeApi) -> None:
    job = api.add("completed", result=a_result(waveforms=True))["jobId"]
    sign_in(tab, api, f"console?job={job}")
    eventually(lambda: tab.run(DRAWN) == 5)
    reached = "return document.querySelectorAll('.waveform[tabindex=\"0\"]').length"
    assert tab.run(reached) == 1


def test_a_job_without_waveforms_is_asked_for_none(tab: Tab, api: FakeApi) -> None:
    job = api.add("completed")["jobId"]
    sign_in(tab, api, f"console?job={job}")
    tab.sees("Vocals", "main")
    tab.sees("split-1-abcde", "main")
    assert tab.run("return document.querySelector('.waveform') === null")
    assert not [call for call in api.calls if "waveforms" in call]


def test_a_waveform_that_cannot_be_had_leaves_the_others(tab: Tab, api: FakeApi) -> None:
    job = api.add("completed", result=a_result(waveforms=True))["jobId"]
    gone = problem(404, "file_not_found", "the bucket does not hold this file any more")
    api.refusals[f"/jobs/{job}/waveforms/bass"] = [gone]
    sign_in(tab, api, f"console?job={job}")
    tab.sees("No waveform: the bucket does not hold this file", "[data-stem=bass]")
    eventually(lambda: tab.run(DRAWN) == 4)
