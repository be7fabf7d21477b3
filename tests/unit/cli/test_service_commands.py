"""The commands that call a service, against a real HTTP server: words, exit statuses, secrets."""

import hashlib
import io
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.support.fake_service import (
    JOB_ID,
    TOKEN,
    FakeService,
    event,
    fake_service,
    gives,
    job,
    problem,
    sends,
    stem,
    streams,
)
from tests.support.ports import free_port

from splitjob.signing import Signer
from splitjob_client import Job
from track_tree_audio import main as cli
from track_tree_audio.service.command import ExitStatus
from track_tree_audio.service.output import about, age, clean, table, time_taken
from track_tree_audio.service.progress import Display, sending

SONG = "https://example.com/My%20Song!.wav?X-Amz-Signature=secret"
WEBHOOK = "https://hooks.example.com/stems"


@dataclass
class Said:
    """What a command said."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Said]


@pytest.fixture
def service() -> Iterator[FakeService]:
    with fake_service() as running:
        yield running


@pytest.fixture
def run(
    service: FakeService, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Run a command with the environment of a caller; no word of it holds the token."""
    monkeypatch.setenv("API_URL", service.url)
    monkeypatch.setenv("DEMUCSSVC_TOKEN", f"{TOKEN},an-older-one")
    monkeypatch.delenv("KUBERNETES_TOKEN", raising=False)
    monkeypatch.setenv("WEBHOOK", WEBHOOK)

    def command(*words: str) -> Said:
        status = cli.main(words)
        said = capsys.readouterr()
        assert TOKEN not in said.out + said.err
        return Said(status, said.out, said.err)

    return command


def test_submit_prints_the_jobs_id_alone(run: Run, service: FakeService) -> None:
    service.on("POST /split", gives({"jobId": JOB_ID, "warnings": ["it expires soon"]}, 202))
    said = run(
        *("submit", SONG, "--model", "demo", "--stem", "vocals", "--remainder", "--format", "mp3"),
        *("--waveforms", "--metadata", "a=b=c", "--event", "failed", "--priority", "-5"),
    )
    assert (said.status, said.out) == (0, f"{JOB_ID}\n")
    assert "it expires soon" in said.err
    assert json.loads(service.heard[0][2]) == {
        "versionId": "My-Song",
        "audioUrl": SONG,
        "aiModel": "demo",
        "webhook": WEBHOOK,
        "stems": ["vocals"],
        "remainder": True,
        "format": "mp3",
        "waveforms": True,
        "metadata": {"a": "b=c"},
        "events": ["failed"],
        "priority": -5,
    }


def test_submit_asks_for_exact_stems(run: Run, service: FakeService) -> None:
    service.on("POST /split", gives({"jobId": JOB_ID}, 202))
    asked = ("--bit-depth", "24", "--clip-mode", "exact", "--residual-to", "residual")
    assert run("submit", SONG, "--model", "demo", *asked).status == 0
    body = json.loads(service.heard[0][2])
    assert (body["bitDepth"], body["clipMode"], body["residualTo"]) == (24, "exact", "residual")


def test_submit_sends_a_file_first(run: Run, service: FakeService, tmp_path: Path) -> None:
    song = tmp_path / "song 1.flac"
    song.write_bytes(b"fLaC")
    ticket = {"url": f"{service.url}/bucket/in", "headers": {}, "audioUrl": "https://b/in?sig=1"}
    service.on("POST /uploads", gives(ticket, 201))
    service.on("PUT /bucket/in", gives({}))
    service.on("POST /split", gives({"jobId": JOB_ID}, 200))
    said = run("submit", str(song), "--model", "demo", "--no-events", "--json")
    assert said.json == {"jobId": JOB_ID, "created": False}
    body = json.loads(service.heard[-1][2])
    assert (body["audioUrl"], body["versionId"], body["events"]) == (
        "https://b/in?sig=1",
        "song-1",
        [],
    )


def test_submit_takes_a_file_that_was_sent_before_by_its_address(
    run: Run, service: FakeService
) -> None:
    """For a second model, say; it need not be sent again."""
    service.on("POST /split", gives({"jobId": JOB_ID}, 202))
    address = f"s3://stems/_inputs/{'0' * 32}/My-Song.flac"
    assert run("submit", address, "--model", "demo").status == 0
    (asked,) = service.heard
    body = json.loads(asked[2])
    assert (body["audioUrl"], body["versionId"]) == (address, "My-Song")


def test_submit_sends_no_file_whose_stems_could_not_be_sent(
    run: Run, service: FakeService, tmp_path: Path
) -> None:
    (song := tmp_path / "song.flac").write_bytes(b"fLaC")
    (uploads := tmp_path / "uploads.json").write_text('{"manifest": "https://put.example.com/"}')
    said = run("submit", str(song), "--model", "demo", "--uploads", str(uploads))
    assert said.status == ExitStatus.USAGE
    assert "must be a URL" in said.err
    assert service.heard == []


def test_submit_reads_a_url_that_nobody_is_to_see(
    run: Run, service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.on("POST /split", gives({"jobId": JOB_ID}, 202))
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{SONG}\n"))
    assert run("submit", "-", "--model", "demo").status == ExitStatus.USAGE
    assert run("submit", "-", "--model", "demo", "--version-id", "v1").status == 0
    assert json.loads(service.heard[-1][2])["audioUrl"] == SONG


@pytest.mark.parametrize(
    ("last", "status", "shown"),
    [
        (
            job("completed", result={"stems": [stem("vocals", "0" * 64, 31_752_044)]}),
            ExitStatus.DONE,
            "vocals   wav      180.0 s   31.8 MB",
        ),
        (
            job("failed", failure={"code": "source_not_found", "message": "it is not there"}),
            ExitStatus.FAILED,
            "it is not there",
        ),
        (job("canceled"), ExitStatus.CANCELED, "canceled"),
    ],
    ids=["completed", "failed", "canceled"],
)
def test_a_watch_ends_as_the_job_does(
    run: Run, service: FakeService, last: dict[str, Any], status: int, shown: str
) -> None:
    waits = job("queued", queue={"position": 2, "reason": "Queued", "message": "others go first"})
    told = [waits, job("running", 10), job("running", 90), last]
    service.on("POST /split", gives({"jobId": JOB_ID}, 202))
    service.on(
        f"GET /jobs/{JOB_ID}/events",
        streams(*(event(one, number) for number, one in enumerate(told))),
    )
    said = run("submit", SONG, "--model", "demo", "--watch")
    assert said.status == status
    assert shown in said.out
    assert said.err.splitlines()[:2] == ["queued: place 2", "running: separate"]
    lines = run("job", JOB_ID, "--watch", "--json").out.splitlines()
    assert [json.loads(line)["state"] for line in lines] == [one["state"] for one in told]


class Terminal(io.StringIO):
    """What is shown on a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_file_on_its_way_has_a_bar_on_a_terminal_and_none_elsewhere(tmp_path: Path) -> None:
    song = tmp_path / "song.wav"
    song.write_bytes(bytes(1000))
    for screen in (Terminal(), io.StringIO()):
        with sending(song, screen) as on_sent:
            on_sent(500)
        half = "#" * 15 + "." * 15
        bar = f"\r\x1b[Ksending   [{half}]  50 %\n"
        assert screen.getvalue() == (bar if screen.isatty() else "")


def test_a_bar_moves_on_a_terminal() -> None:
    screen = Terminal()
    display = Display(screen)
    told = job("running", 50, queue={"reason": "", "etaSeconds": 40})
    display.show(Job.model_validate(told))
    display.end()
    half = "#" * 15 + "." * 15
    assert screen.getvalue() == f"\r\x1b[Kseparate  [{half}]  50 %  about 40 s left\n"


def test_jobs_are_a_table_for_people_and_json_for_programs(run: Run, service: FakeService) -> None:
    rows = [
        job("running", 40),
        job("failed", failure={"code": "gpu_oom", "message": "m"}, versionId="bad\x1b[2Jname"),
    ]
    service.on("GET /jobs", gives({"jobs": rows, "nextCursor": "abc"}))
    said = run("jobs", "--status", "running", "--status", "failed", "--limit", "2", "--since", "2h")
    head, first, second = said.out.splitlines()
    assert head.split() == ["JOB", "VERSION", "MODEL", "STATE", "DETAIL", "AGE"]
    assert first.split()[:6] == [JOB_ID, "song-42", "demo", "running", "separate", "40"]
    assert "bad?[2Jname" in second
    assert "gpu_oom" in second
    assert "--cursor abc" in said.err
    [target] = service.targets()
    assert target.startswith("GET /jobs?status=running&status=failed&since=20")
    assert target.endswith("&limit=2")
    assert run("jobs", "--json").json == {"jobs": rows, "nextCursor": "abc"}


def test_all_pages_are_printed(run: Run, service: FakeService) -> None:
    pages = [{"jobs": [job()], "nextCursor": "next"}, {"jobs": [job("failed")], "nextCursor": None}]
    service.on("GET /jobs", *map(gives, pages))
    assert len(run("jobs", "--all").out.splitlines()) == 3
    service.on("GET /jobs", *map(gives, pages))
    lines = run("jobs", "--all", "--json").out.splitlines()
    assert [json.loads(line)["state"] for line in lines] == ["running", "failed"]


def test_changes_are_printed_as_they_come(run: Run, service: FakeService) -> None:
    gone = event({"jobId": "split-2"}, 2, "deleted")
    service.on(
        "GET /events", streams(event(job("queued"), 1), gone), problem(401, "signature_invalid")
    )
    said = run("jobs", "--watch")
    assert said.status == ExitStatus.NOT_LET_IN
    assert said.out.splitlines() == [f"{JOB_ID}   song-42   demo   queued", "split-2   deleted"]


def test_a_job_is_shown_whole(run: Run, service: FakeService) -> None:
    done = job(
        "completed",
        finishedAt="2026-01-01T00:02:00Z",
        result={"stems": [stem("vocals", "0" * 64, 100)]},
        webhook={"event": "completed", "state": "GivenUp", "lastError": "HTTP 500"},
    )
    service.on(f"GET /jobs/{JOB_ID}", gives(done))
    said = run("job", JOB_ID)
    assert "webhook      completed, given up: HTTP 500" in said.out
    assert "state        completed\n" in said.out
    assert f"s3://bucket/song-42/{JOB_ID}/vocals.wav" in said.out
    assert run("job", JOB_ID, "--json").json == done


@pytest.mark.parametrize(
    ("words", "target", "answer", "shown"),
    [
        (["cancel", JOB_ID], f"DELETE /jobs/{JOB_ID}", job("running"), "is being canceled"),
        (["cancel", JOB_ID], f"DELETE /jobs/{JOB_ID}", job("canceled"), "canceled"),
        (["cancel", JOB_ID], f"DELETE /jobs/{JOB_ID}", job("completed"), "finished already"),
        (["retry", JOB_ID], f"POST /jobs/{JOB_ID}/retry", {"jobId": "split-2"}, "split-2\n"),
        (["redeliver", JOB_ID], f"POST /jobs/{JOB_ID}/redeliver", job("failed"), "sent again"),
        (
            ["erase", JOB_ID],
            f"DELETE /jobs/{JOB_ID}/data",
            job("failed", erased={"at": "2026-01-01T00:00:00Z", "objects": 5}),
            "erased, 5 files",
        ),
        (["erase", JOB_ID], f"DELETE /jobs/{JOB_ID}/data", job("failed"), "is being erased"),
    ],
)
def test_what_can_be_done_to_a_job(
    run: Run,
    service: FakeService,
    words: list[str],
    target: str,
    answer: dict[str, Any],
    shown: str,
) -> None:
    service.on(target, gives(answer, 202))
    said = run(*words)
    assert said.status == 0
    assert shown in said.out
    assert run(*words, "--json").json == answer


def test_stems_are_fetched(run: Run, service: FakeService, tmp_path: Path) -> None:
    content = b"RIFF"
    digest = hashlib.sha256(content).hexdigest()
    stems = [stem(name, digest, 4) for name in ("drums", "vocals")]
    service.on(f"GET /jobs/{JOB_ID}", gives(job("completed", result={"stems": stems})))
    for name in ("drums", "vocals"):
        url = {"url": f"{service.url}/bucket/{name}?sig=secret"}
        service.on(f"GET /jobs/{JOB_ID}/stems/{name}", gives(url))
        service.on(f"GET /bucket/{name}", sends(content, 200, "audio/wav"))
    said = run("download", JOB_ID, "--to", str(tmp_path))
    assert said.out.splitlines() == [str(tmp_path / "drums.wav"), str(tmp_path / "vocals.wav")]
    one = run("download", JOB_ID, "drums", "--to", str(tmp_path), "--json")
    assert one.json == {"stem": "drums", "path": str(tmp_path / "drums.wav")}
    for words in ((), ("drums",)):
        service.on(f"GET /jobs/{JOB_ID}", gives(job("running")))
        assert run("download", JOB_ID, *words).status == ExitStatus.REFUSED


@pytest.mark.parametrize(
    "words",
    [
        ["job", JOB_ID],
        ["job", JOB_ID, "--watch"],
        ["cancel", JOB_ID],
        ["retry", JOB_ID],
        ["redeliver", JOB_ID],
        ["erase", JOB_ID],
        ["download", JOB_ID],
        ["download", JOB_ID, "vocals"],
    ],
    ids=" ".join,
)
def test_every_command_says_by_its_exit_status_that_there_is_no_such_job(
    run: Run, service: FakeService, words: list[str]
) -> None:
    below = {"retry": "/retry", "redeliver": "/redeliver", "erase": "/data"}.get(words[0], "")
    for method in ("GET", "POST", "DELETE"):
        for path in (below, "/events"):
            service.on(f"{method} /jobs/{JOB_ID}{path}", problem(404, "job_not_found"))
    said = run(*words)
    assert (said.status, said.out) == (ExitStatus.NOT_FOUND, "")
    assert "job_not_found" in said.err


def test_a_file_that_cannot_be_had_any_more_is_told_as_one_that_never_was(
    run: Run, service: FakeService, tmp_path: Path
) -> None:
    to = ("--to", str(tmp_path))
    made = {"stems": [{**stem("drums", "0" * 64, 4), "waveform": "s3://bucket/x"}]}
    service.on(f"GET /jobs/{JOB_ID}", gives(job("completed", result=made)))
    unknown = run("download", JOB_ID, "guitar", *to)
    assert (unknown.status, unknown.err) == (
        ExitStatus.NOT_FOUND,
        "download: the job has no stem guitar; it has: drums\n",
    )
    service.on(f"GET /jobs/{JOB_ID}/stems/drums", problem(410, "erased"))
    assert run("download", JOB_ID, *to).status == ExitStatus.NOT_FOUND
    service.on(f"GET /jobs/{JOB_ID}/stems/drums", gives({"url": f"{service.url}/bucket/drums"}))
    service.on("GET /bucket/drums", problem(404, "NoSuchKey"))
    assert run("download", JOB_ID, *to).status == ExitStatus.NOT_FOUND
    assert list(tmp_path.iterdir()) == []


def test_a_job_that_is_deleted_while_it_is_watched_is_no_more(
    run: Run, service: FakeService
) -> None:
    gone = event({"jobId": JOB_ID}, 2, "deleted")
    service.on(f"GET /jobs/{JOB_ID}/events", streams(event(job("running", 10), 1), gone))
    assert run("job", JOB_ID, "--watch").status == ExitStatus.NOT_FOUND


def test_a_service_without_uploads_has_no_such_call(
    run: Run, service: FakeService, tmp_path: Path
) -> None:
    (song := tmp_path / "song.wav").write_bytes(b"RIFF")
    service.on("POST /uploads", problem(404, "not_found"))
    assert run("submit", str(song), "--model", "demo").status == ExitStatus.NOT_FOUND


def test_waveforms_are_fetched_with_their_stems(
    run: Run, service: FakeService, tmp_path: Path
) -> None:
    digest = hashlib.sha256(b"RIFF").hexdigest()
    drawn = {"waveform": "s3://bucket/x"}
    stems = [{**stem("drums", digest, 4), **drawn}, stem("vocals", digest, 4)]
    done = job("completed", result={"stems": stems, "audio": drawn})
    service.on(f"GET /jobs/{JOB_ID}", gives(done))
    for name in ("drums", "vocals"):
        service.on(
            f"GET /jobs/{JOB_ID}/stems/{name}", gives({"url": f"{service.url}/bucket/{name}"})
        )
        service.on(f"GET /bucket/{name}", sends(b"RIFF", 200, "audio/wav"))
    for name in ("drums", "mixture"):
        service.on(f"GET /jobs/{JOB_ID}/waveforms/{name}", gives({"version": 2}))
    said = run("download", JOB_ID, "--to", str(tmp_path))
    names = ["drums.wav", "vocals.wav", "drums.waveform.json", "mixture.waveform.json"]
    assert said.out.splitlines() == [str(tmp_path / name) for name in names], said.err
    assert json.loads((tmp_path / "mixture.waveform.json").read_text()) == {"version": 2}
    run("download", JOB_ID, "drums", "--to", str(tmp_path / "one"))
    assert {path.name for path in (tmp_path / "one").iterdir()} == {
        "drums.wav",
        "drums.waveform.json",
    }


@pytest.mark.parametrize(
    ("told", "row", "state", "step"),
    [
        (
            job("queued", queue={"position": 2, "reason": "Queued", "etaSeconds": 240}),
            "queued place 2, done in about 4 min",
            "queued (place 2, done in about 4 min)",
            "queued: place 2",
        ),
        (
            job("queued", queue={"reason": "Queued", "message": "Waiting for its turn."}),
            "queued",
            "queued",
            "queued",
        ),
        (
            job("queued", queue={"position": 1, "reason": "QuotaExceeded", "message": "no room"}),
            "queued quota exceeded, place 1",
            "queued (quota exceeded, place 1)",
            "queued: quota exceeded, place 1: no room",
        ),
        (
            job("starting", queue={"position": 1, "reason": "Starting", "message": "It starts."}),
            "starting",
            "starting",
            "starting: It starts.",
        ),
        (
            job("starting", queue={"reason": "Starting", "message": "Job a is starting on b."}),
            "starting",
            "starting",
            "Job a is starting on b.",
        ),
        (
            job("starting", queue={"reason": "PullingImage", "message": 'Pulling image "w"'}),
            "starting pulling image",
            "starting (pulling image)",
            'starting: pulling image: Pulling image "w"',
        ),
        (
            job("canceled", failure={"code": "canceled", "message": "The job was canceled."}),
            "canceled",
            "canceled",
            "canceled",
        ),
        (
            job("failed", failure={"code": "gpu_oom", "message": "too large"}),
            "failed gpu_oom",
            "failed (gpu_oom)",
            "failed",
        ),
    ],
    ids=lambda value: value["state"] if isinstance(value, dict) else None,
)
def test_how_a_job_stands_is_said_once_and_in_words(
    run: Run, service: FakeService, told: dict[str, Any], row: str, state: str, step: str
) -> None:
    service.on("GET /jobs", gives({"jobs": [told]}))
    cells = run("jobs").out.splitlines()[1].split()
    assert " ".join(cells[3:-1]) == row
    service.on(f"GET /jobs/{JOB_ID}", gives(told))
    page = run("job", JOB_ID).out
    assert f"state        {state}\n" in page
    assert "The job was canceled." not in page
    screen = io.StringIO()
    Display(screen).show(Job.model_validate(told))
    assert screen.getvalue() == f"{step}\n"


def test_time_taken_is_that_of_one_stage_after_another(run: Run, service: FakeService) -> None:
    timings = {"decode": 400, "encode": 700, "fetch": 900, "load": 1200, "separate": 39000}
    done = job("completed", result={"stems": [], "timings": {**timings, "upload": 800}})
    service.on(f"GET /jobs/{JOB_ID}", gives(done))
    stages = "fetch 0.9 s, decode 0.4 s, separate 39.0 s, encode 0.7 s, upload 0.8 s"
    assert (
        f"time taken   {stages}; loading the model 1.2 s, begun with fetch"
        in run("job", JOB_ID).out
    )
    assert time_taken({**timings, "load": 5000}) == (
        "fetch 0.9 s, decode 0.4 s, rest of load 3.7 s, separate 39.0 s, encode 0.7 s; "
        "loading the model 5.0 s, begun with fetch"
    )


def test_what_is_wrong_with_a_field_is_said_once(run: Run, service: FakeService) -> None:
    sentence = "webhooks go to https URLs"
    wrong = {"field": "webhook", "code": "not_allowed", "message": sentence}
    refused = problem(422, "webhook_not_allowed", detail=sentence, errors=[wrong])
    service.on("POST /split", refused)
    said = run("submit", SONG, "--model", "demo")
    assert said.err == f"submit: webhook: {sentence} (422 webhook_not_allowed)\n"


def test_models_are_a_table_and_each_licence_is_said_once(run: Run, service: FakeService) -> None:
    note = "Weights published by somebody. " * 6

    def model(name: str, licence: str, *, embedded: bool) -> dict[str, Any]:
        return {
            "name": name,
            "stems": ["drums", "bass"],
            "sampleRate": 44100,
            "licenseNote": licence,
            "embedded": embedded,
        }

    demo = model("demo", "MIT", embedded=True)
    others = [model(name, note.strip(), embedded=False) for name in ("large", "larger")]
    service.on("GET /models", gives({"models": [demo, *others]}))
    said = run("models").out
    assert said.splitlines()[:4] == [
        "MODEL    STEMS         RATE       WEIGHTS",
        "demo     drums, bass   44100 Hz   included",
        "large    drums, bass   44100 Hz   needed",
        "larger   drums, bass   44100 Hz   needed",
    ]
    assert "model_unavailable" in said
    assert "licence of demo: MIT" in said
    assert said.count("licence of large, larger: Weights published") == 1
    assert max(map(len, said.splitlines())) <= 100
    assert run("models", "--json").json == {"models": [demo, *others]}
    service.on("GET /models", gives({"models": [demo]}))
    assert "model_unavailable" not in run("models").out


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (problem(401, "signature_invalid"), ExitStatus.NOT_LET_IN),
        (problem(403, "forbidden"), ExitStatus.NOT_LET_IN),
        (problem(404, "job_not_found"), ExitStatus.NOT_FOUND),
        (problem(410, "erased"), ExitStatus.NOT_FOUND),
        (problem(422, "request_invalid"), ExitStatus.REFUSED),
        (problem(409, "not_completed"), ExitStatus.REFUSED),
        (problem(429, "queue_full", retry_after=999), ExitStatus.TRY_LATER),
        (problem(503, "not_ready", retry_after=999), ExitStatus.TRY_LATER),
        (problem(500, "internal_error"), ExitStatus.OTHER),
        (sends(b"<html>", 200, "text/html"), ExitStatus.OTHER),
    ],
)
def test_what_goes_wrong_is_one_line_and_an_exit_status(
    run: Run, service: FakeService, answer: Any, status: ExitStatus
) -> None:
    service.on(f"GET /jobs/{JOB_ID}", answer)
    said = run("job", JOB_ID)
    assert (said.status, said.out) == (status, "")
    assert said.err.startswith("job: ")
    assert said.err.count("\n") == 1


@pytest.mark.parametrize("name", ["API_URL", "DEMUCSSVC_TOKEN", "WEBHOOK"])
def test_a_setting_that_is_missing_is_named(
    run: Run, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.delenv(name)
    said = run("submit", SONG, "--model", "demo")
    assert said.status == ExitStatus.USAGE
    assert name in said.err


def test_tokens_are_taken_from_files_and_options_before_the_environment(
    run: Run, service: FakeService, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    service.on("GET /models", gives({"models": []}))
    monkeypatch.setenv("API_URL", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("DEMUCSSVC_TOKEN", "wrong")
    signing, cluster = tmp_path / "token", tmp_path / "cluster"
    signing.write_text(f"{TOKEN}\n")
    cluster.write_text("of-the-cluster\n")
    at = ("--url", service.url)
    assert run("models", *at, "--token-file", str(signing)).status == 0
    assert run("models", *at, "--kubernetes-token-file", str(cluster)).status == 0
    assert service.heard[-1][1]["authorization"] == "Bearer of-the-cluster"
    both = ("--token-file", str(signing), "--kubernetes-token-file", str(cluster))
    assert run("models", *at, *both).status == ExitStatus.USAGE
    assert run("models", *at, "--token-file", "missing").status == ExitStatus.USAGE


# Signing by hand


@pytest.mark.parametrize(
    ("words", "target", "body"),
    [
        (["GET", "/jobs?status=running&version[a]={b}"], "GET /jobs?", b""),
        (["get", "/models"], "GET /models", b""),
        (["HEAD", "/models"], "HEAD /models", b""),
        (["DELETE", f"/jobs/{JOB_ID}"], f"DELETE /jobs/{JOB_ID}", b""),
        (["POST", f"/jobs/{JOB_ID}/retry"], f"POST /jobs/{JOB_ID}/retry", b""),
        (["POST", "/split", "--data", '@{"a": "it\'s $HOME\n"}'], "POST /split", None),
        (["POST", "/split", "--data-file", "body file.json"], "POST /split", b'{"a":\r\n"b"}\n'),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_the_line_that_sign_prints_can_be_pasted(
    run: Run,
    service: FakeService,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    words: list[str],
    target: str,
    body: bytes | None,
) -> None:
    if not shutil.which("curl"):
        pytest.skip("there is no curl on this machine")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "body file.json").write_bytes(b'{"a":\r\n"b"}\n')
    for what in ("GET /jobs", "GET /models", "HEAD /models", f"DELETE /jobs/{JOB_ID}"):
        service.on(what, gives({}) if "HEAD" not in what else sends(b"", 200, "text/plain"))
    for what in ("POST /split", f"POST /jobs/{JOB_ID}/retry"):
        service.on(what, gives({}))
    line = run("sign", *words).out
    assert line.count("\n") <= 2
    pasted = subprocess.run(
        ["bash", "-c", line], check=False, capture_output=True, text=True, cwd=tmp_path
    )
    assert pasted.returncode == 0, pasted.stdout + pasted.stderr
    sent, _, came = service.heard[-1]
    assert sent.startswith(target)
    assert came == (words[-1].encode() if body is None else body)


@pytest.mark.parametrize(
    "words",
    [
        ["GET", "jobs"],
        ["GET", "/jobs?versionId=song 42"],
        ["GET", "/jobs#x"],
        ["GET", "/jobs/ä"],
        ["DELETE", "/jobs/a", "--data", "{}"],
        ["POST", "/split", "--data-file", "missing"],
    ],
)
def test_sign_refuses_what_curl_would_send_otherwise(run: Run, words: list[str]) -> None:
    assert run("sign", *words).status == ExitStatus.USAGE


def test_sign_is_json_for_programs(run: Run, service: FakeService) -> None:
    said = run("sign", "GET", "/models", "--json").json
    assert said["url"] == f"{service.url}/models"
    assert set(said["headers"]) == {"X-Signature", "X-Timestamp"}


# Webhooks


BODY = b'{"event":"completed","jobId":"split-1"}'


def test_a_webhook_is_verified(run: Run, tmp_path: Path) -> None:
    now = int(time.time())
    sent = Signer(["an-older-one"]).webhook_headers("evt-1", BODY, now)
    (tmp_path / "body").write_bytes(BODY)
    lines = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
    (tmp_path / "headers").write_text(lines)
    words = ("verify-webhook", str(tmp_path / "body"))
    said = run(*words, "--headers", str(tmp_path / "headers"))
    assert (said.status, said.out) == (0, "genuine: completed of split-1, webhook-id evt-1\n")
    ours = [
        word for name in sent if name[0] == "X" for word in ("--header", f"{name}: {sent[name]}")
    ]
    assert run(*words, *ours, "--json").json == {
        "genuine": True,
        "eventId": None,
        "body": json.loads(BODY),
    }
    late = run(*words, *ours, "--at", str(now + 301), "--json")
    assert late.status == ExitStatus.NOT_LET_IN
    assert late.json["genuine"] is False
    assert "300 s" in late.err


@pytest.mark.parametrize(
    "words", [["missing"], ["--headers", "missing"], ["--header", "nothing"], ["--at", "received"]]
)
def test_what_cannot_be_verified(
    run: Run, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(BODY)))
    assert run("verify-webhook", *words).status == ExitStatus.USAGE


def test_a_body_is_read_from_standard_input(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = Signer([TOKEN]).webhook_headers("evt-1", BODY, int(time.time()))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(BODY)))
    words = [word for name, value in sent.items() for word in ("--header", f"{name}: {value}")]
    assert run("verify-webhook", *words).status == 0


# Small things


def test_a_table_is_as_wide_as_it_needs() -> None:
    assert table(("A", "LONG"), [("aaa", "b"), ("", "")]) == "A     LONG\naaa   b\n"


def test_times_claim_no_more_than_is_known() -> None:
    assert [about(seconds) for seconds in (0, 89, 90, 3600, 9000)] == [
        "about 1 s",
        "about 89 s",
        "about 2 min",
        "about 60 min",
        "about 2.5 h",
    ]
    assert age(datetime.now(UTC)) == "0s"
    assert age(datetime(2020, 1, 1, tzinfo=UTC)).endswith("d")


def test_what_others_wrote_moves_no_cursor() -> None:
    assert clean("a\x1b[2J\nb\u202eé") == "a?[2J?b?é"
