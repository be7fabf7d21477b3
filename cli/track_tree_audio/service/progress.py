"""Watching a job: a bar on a terminal, a line for each step elsewhere, JSON for programs."""

import argparse
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from splitjob_client import Client, Job
from track_tree_audio.service.command import ExitStatus
from track_tree_audio.service.output import (
    about,
    as_json,
    clean,
    job_page,
    message_of,
    stem_table,
    why_it_waits,
)

BAR_WIDTH = 30
_ERASE_LINE = "\r\x1b[K"
_STATUSES = {
    "completed": ExitStatus.DONE,
    "failed": ExitStatus.FAILED,
    "canceled": ExitStatus.CANCELED,
}


def watch(client: Client, job_id: str, arguments: argparse.Namespace) -> ExitStatus:
    """Tell how a job goes until it has ended; the exit status says how it did."""
    try:
        last = _tell(client.watch(job_id), arguments)
    except KeyboardInterrupt:
        print(
            f"\nthe job goes on; track-tree-audio job {job_id} --watch watches it again",
            file=sys.stderr,
        )
        raise
    return _STATUSES.get(last.state, ExitStatus.OTHER) if last else ExitStatus.OTHER


def add_watch_option(parser: argparse.ArgumentParser) -> None:
    """Add --watch."""
    parser.add_argument("--watch", action="store_true", help="tell how it goes until it has ended")


def _tell(jobs: Iterable[Job], arguments: argparse.Namespace) -> Job | None:
    """Tell of each change; return the job as it ended."""
    if arguments.json:
        last = None
        for last in jobs:
            print(as_json(last), flush=True)
        return last
    display = Display(sys.stderr)
    last = None
    for last in jobs:
        display.show(last)
    display.end()
    if last and last.result:
        print(stem_table(last.result.stems))
    elif last:
        print(job_page(last))
    return last


class Display:
    """Shows how a job goes.

    Args:
        out: where; a bar that moves where it is a terminal, else a line for each new step.
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._moves = out.isatty()
        self._said = ""

    def show(self, job: Job) -> None:
        """Show a job as it is now."""
        if self._moves:
            width = shutil.get_terminal_size().columns - 1
            print(_ERASE_LINE + line(job)[:width], end="", file=self._out, flush=True)
            return
        step = _step(job)
        if step != self._said:
            print(step, file=self._out, flush=True)
            self._said = step

    def end(self) -> None:
        """Leave the line."""
        if self._moves:
            print(file=self._out)


@contextmanager
def sending(file: Path, out: TextIO) -> Iterator[Callable[[int], None]]:
    """Show how far a file is on its way, where there is a terminal to show it on.

    Args:
        file: that is sent.
        out: where it is shown, if that is a terminal.

    Yields:
        Whom to tell how many of its bytes were sent.
    """
    if not out.isatty():
        yield lambda _sent: None
        return
    size = file.stat().st_size if file.exists() else 0

    def show(sent: int) -> None:
        width = shutil.get_terminal_size().columns - 1
        told = _bar("sending", 100 * sent // max(size, 1))
        print(_ERASE_LINE + told[:width], end="", file=out, flush=True)

    try:
        yield show
    finally:
        print(file=out)


def line(job: Job) -> str:
    """Return how a job goes, on one line."""
    eta = job.queue.eta_seconds if job.queue else None
    left = f"  {about(eta)} left" if eta else ""
    if job.progress and not job.finished:
        return _bar(job.progress.stage, job.progress.percent) + left
    return _step(job) + left


def _bar(what: str, percent: int) -> str:
    done = BAR_WIDTH * percent // 100
    return f"{what:<9} [{'#' * done}{'.' * (BAR_WIDTH - done)}] {percent:>3} %"


def _step(job: Job) -> str:
    if job.progress and not job.finished:
        return f"{job.state}: {job.progress.stage}"
    message = message_of(job)
    why = clean(", ".join(why_it_waits(job)))
    if job.state in message and not why:  # a sentence that says the state too
        return message
    return ": ".join(one for one in (job.state, why, message) if one)
