"""`track-tree-audio cancel`, `retry`, `redeliver` and `erase`: what can be done to a job."""

import argparse
import sys
from collections.abc import Callable, Sequence

from splitjob_client import Client
from track_tree_audio.service import progress
from track_tree_audio.service.command import ExitStatus, client, parser, run
from track_tree_audio.service.output import as_json

Act = Callable[[Client, argparse.Namespace], ExitStatus]


def main_cancel(argv: Sequence[str]) -> int:
    """Run `track-tree-audio cancel`."""
    return _run("cancel", "Cancel a job; one that has finished stays as it is.", _cancel, argv)


def main_retry(argv: Sequence[str]) -> int:
    """Run `track-tree-audio retry`."""
    text = "Ask for a new job of the same request, after a failure or cancel; prints its id."
    return _run("retry", text, _retry, argv, watch=True)


def main_redeliver(argv: Sequence[str]) -> int:
    """Run `track-tree-audio redeliver`."""
    return _run("redeliver", "Have the final webhook sent again.", _redeliver, argv)


def main_erase(argv: Sequence[str]) -> int:
    """Run `track-tree-audio erase`."""
    text = "Erase what the bucket holds of a finished job, for good."
    return _run("erase", text, _erase, argv)


def _run(name: str, text: str, act: Act, argv: Sequence[str], *, watch: bool = False) -> int:
    made = parser(name, text)
    made.add_argument("id", metavar="ID")
    if watch:
        progress.add_watch_option(made)

    def do(arguments: argparse.Namespace) -> ExitStatus:
        with client(arguments) as service:
            return act(service, arguments)

    return run(name, made, do, argv)


def _cancel(service: Client, arguments: argparse.Namespace) -> ExitStatus:
    job = service.cancel(arguments.id)
    said = "finished already" if job.finished and job.state != "canceled" else "is being canceled"
    said = "canceled" if job.state == "canceled" else said
    print(as_json(job) if arguments.json else f"{job.job_id}   {job.state}   {said}")
    return ExitStatus.DONE


def _retry(service: Client, arguments: argparse.Namespace) -> ExitStatus:
    submitted = service.retry(arguments.id)
    print(as_json(submitted) if arguments.json else submitted.job_id, flush=True)
    for warning in [] if arguments.json else submitted.warnings:
        print(f"note: {warning}", file=sys.stderr)
    if arguments.watch:
        return progress.watch(service, submitted.job_id, arguments)
    return ExitStatus.DONE


def _redeliver(service: Client, arguments: argparse.Namespace) -> ExitStatus:
    job = service.redeliver(arguments.id)
    print(as_json(job) if arguments.json else f"{job.job_id}   the webhook is sent again")
    return ExitStatus.DONE


def _erase(service: Client, arguments: argparse.Namespace) -> ExitStatus:
    job = service.erase(arguments.id)
    said = f"erased, {job.erased.objects} files" if job.erased else "is being erased"
    print(as_json(job) if arguments.json else f"{job.job_id}   {said}")
    return ExitStatus.DONE
