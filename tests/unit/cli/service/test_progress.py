"""A job that is watched, and a file on its way: on a terminal and elsewhere."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from tests.support.fake_service import (
    JOB_ID,
    FakeService,
    event,
    gives,
    job,
    stem,
    streams,
)
from tests.support.service_commands import SONG, Run

from splitjob_client import Job
from track_tree_audio.service.command import ExitStatus
from track_tree_audio.service.progress import Display, sending


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


def test_a_job_that_is_deleted_while_it_is_watched_is_no_more(
    run: Run, service: FakeService
) -> None:
    gone = event({"jobId": JOB_ID}, 2, "deleted")
    service.on(f"GET /jobs/{JOB_ID}/events", streams(event(job("running", 10), 1), gone))
    assert run("job", JOB_ID, "--watch").status == ExitStatus.NOT_FOUND
