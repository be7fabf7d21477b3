"""`jobs` and `job`: tables for people, JSON for programs."""

import io
import json
from typing import Any

import pytest
from tests.support.fake_service import (
    JOB_ID,
    FakeService,
    event,
    gives,
    job,
    problem,
    stem,
    streams,
)
from tests.support.service_commands import Run

from splitjob_client import Job
from track_tree_audio.service.command import ExitStatus
from track_tree_audio.service.output import time_taken
from track_tree_audio.service.progress import Display


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


@pytest.mark.parametrize(
    "moment",
    ["yesterday", "2h30m", "999999d", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"],
)
def test_a_moment_that_is_none_is_named_before_anything_is_asked(
    run: Run, service: FakeService, capsys: pytest.CaptureFixture[str], moment: str
) -> None:
    """Also one that no calendar has: so long ago, or beyond its ends in UTC."""
    with pytest.raises(SystemExit) as ended:
        run("jobs", "--since", moment)
    assert ended.value.code == ExitStatus.USAGE
    assert f"{moment!r} is neither" in capsys.readouterr().err
    assert service.targets() == []


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
