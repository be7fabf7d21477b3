"""`track-tree-audio jobs` and `job`: what is in the service, and where one job stands."""

import argparse
import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from splitjob_client import Client, JobFilter
from track_tree_audio.service import progress
from track_tree_audio.service.command import ExitStatus, client, parser, run
from track_tree_audio.service.output import JOB_COLUMNS, as_json, job_page, job_row, table

_AGO = re.compile(r"(\d{1,6})([smhd])", re.ASCII)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
STATES = ("queued", "starting", "running", "completed", "failed", "canceled")


def main_jobs(argv: Sequence[str]) -> int:
    """Run `track-tree-audio jobs`."""
    return run("jobs", _jobs_parser(), _jobs, argv)


def main_job(argv: Sequence[str]) -> int:
    """Run `track-tree-audio job`."""
    return run("job", _job_parser(), _job, argv)


def _job(arguments: argparse.Namespace) -> ExitStatus:
    with client(arguments) as service:
        if arguments.watch:
            return progress.watch(service, arguments.id, arguments)
        job = service.job(arguments.id)
    print(as_json(job) if arguments.json else job_page(job))
    return ExitStatus.DONE


def _jobs(arguments: argparse.Namespace) -> ExitStatus:
    wanted: JobFilter = {
        "status": arguments.status,
        "version_id": arguments.version_id,
        "model": arguments.model,
        "since": arguments.since,
        "until": arguments.until,
    }
    with client(arguments) as service:
        if arguments.watch:
            _follow(service, wanted, arguments)
        elif arguments.all:
            _print_all(service, wanted, arguments)
        else:
            _print_page(service, wanted, arguments)
    return ExitStatus.DONE


def _print_page(service: Client, wanted: JobFilter, arguments: argparse.Namespace) -> None:
    page = service.jobs(limit=arguments.limit, cursor=arguments.cursor, **wanted)
    if arguments.json:
        print(as_json(page))
        return
    print(table(JOB_COLUMNS, [job_row(job) for job in page.jobs]))
    if page.next_cursor:
        print(f"there are more: --cursor {page.next_cursor}, or --all", file=sys.stderr)


def _print_all(service: Client, wanted: JobFilter, arguments: argparse.Namespace) -> None:
    """Print every page; as JSON, one job a line."""
    jobs = service.all_jobs(**wanted)
    if not arguments.json:
        print(table(JOB_COLUMNS, [job_row(job) for job in jobs]))
        return
    for job in jobs:
        print(as_json(job))


def _follow(service: Client, wanted: JobFilter, arguments: argparse.Namespace) -> None:
    """Print each change as it comes, until Ctrl-C; as JSON, one change a line."""
    for event in service.events(**wanted):
        if arguments.json:
            print(as_json(event), flush=True)
        elif event.job:
            print("   ".join(cell for cell in job_row(event.job)[:-1] if cell), flush=True)
        else:
            print(f"{event.job_id}   {event.kind}".strip(), flush=True)


def moment(text: str) -> str:
    """Return a moment as the service takes it: RFC 3339, or so long ago (`90m`, `2h`, `7d`)."""
    try:
        if ago := _AGO.fullmatch(text):
            then = datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
            given = then.replace(microsecond=0)
        else:
            given = datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):  # no moment, or one beyond the calendar's ends
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither 2026-01-31T12:00:00Z nor so long ago: 90m, 2h, 7d"
        ) from None
    return given.isoformat().replace("+00:00", "Z")


def _job_parser() -> argparse.ArgumentParser:
    made = parser("job", "Where a job stands, and what came of it.")
    made.add_argument("id", metavar="ID")
    progress.add_watch_option(made)
    return made


def _jobs_parser() -> argparse.ArgumentParser:
    made = parser("jobs", "List the jobs of the service, newest first.")
    made.add_argument("--status", action="append", choices=STATES, help="only those; repeatable")
    made.add_argument("--version-id", metavar="NAME", help="only those of this version")
    made.add_argument("--model", metavar="NAME", help="only those of this model")
    made.add_argument("--since", type=moment, help="created since: 2h, or 2026-01-31T12:00:00Z")
    made.add_argument("--until", type=moment, help="created before")
    made.add_argument("--limit", type=int, metavar="N", help="on a page: 1 to 500, 50 by default")
    made.add_argument("--cursor", help="the page after one that was printed")
    made.add_argument("--all", action="store_true", help="all pages")
    made.add_argument("--watch", action="store_true", help="each change as it comes, until Ctrl-C")
    return made
