"""The console in a real browser, on an API in memory that has what each test needs."""

from collections.abc import Iterator
from urllib.parse import urlencode

import pytest
from tests.support.browser import Tab, browser
from tests.support.fake_api import (
    KUBERNETES_TOKEN,
    TOKEN,
    FakeApi,
    a_result,
    problem,
    serving,
    waves,
)
from tests.support.waiting import eventually
from tests.support.web import Web, web_server

ROWS = "return document.querySelectorAll('tbody tr').length"


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with browser(tmp_path_factory.mktemp("profile")) as tab:
        yield tab


@pytest.fixture(scope="module")
def bucket() -> Iterator[Web]:
    """Another origin, as a bucket is."""
    with web_server() as web:
        yield web


@pytest.fixture
def api(bucket: Web) -> Iterator[FakeApi]:
    with serving(FakeApi(), media_origins=[bucket.url]) as api:
        yield api


@pytest.fixture
def tab(chromium: Tab) -> Iterator[Tab]:
    """The browser's page; it must end without an error, the policy's refusals included."""
    chromium.troubles.clear()
    chromium.resize(1200, 900)
    yield chromium
    assert chromium.troubles == []


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


def test_a_filter_that_the_api_refuses_is_not_told_as_an_outage(tab: Tab, api: FakeApi) -> None:
    api.streams = False
    refused = problem(422, "request_invalid", "not acceptable: status")
    api.refusals["/jobs"] = [refused] * 20
    sign_in(tab, api, "console?status=nonesuch")
    tab.sees("asks every 5 s", "#liveness")
    tab.sees("not acceptable: status", "main")


def test_the_page_of_a_job_follows_it(tab: Tab, api: FakeApi) -> None:
    job = api.add("running")["jobId"]
    sign_in(tab, api, f"console?job={job}")
    tab.sees("separate, 40 %", "main")
    api.change(job, progress={"stage": "upload", "percent": 95})
    tab.sees("upload, 95 %", "main")


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
