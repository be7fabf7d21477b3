"""`track-tree-audio verify-webhook`: whether a webhook that came in is the service's."""

import argparse
import json
import math
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import cast

from splitjob.signing import TokenError
from splitjob.webhook import WebhookError, WebhookEvent, verify
from splitjob_client import SettingsError
from track_tree_audio.service.command import ExitStatus, parser, run
from track_tree_audio.service.output import clean
from track_tree_audio.service.sign import tokens

NAME = "verify-webhook"
RECEIVED = "received"


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    return run(NAME, _parser(), _verify, argv)


def _verify(arguments: argparse.Namespace) -> ExitStatus:
    body = _body(arguments.body)
    headers = _headers(arguments.header, arguments.headers)
    try:
        event = verify(body, headers, tokens(arguments), _moment(arguments))
    except TokenError as error:
        raise SettingsError(str(error)) from None
    except WebhookError as refused:
        print(f"{NAME}: not genuine: {refused.reason}", file=sys.stderr)
        if arguments.json:
            print(json.dumps({"genuine": False, "reason": refused.reason}))
        return ExitStatus.NOT_LET_IN
    print(_told(event, arguments))
    return ExitStatus.DONE


def _told(event: WebhookEvent, arguments: argparse.Namespace) -> str:
    if arguments.json:
        return json.dumps({"genuine": True, "eventId": event.event_id, "body": event.body})
    named = f", webhook-id {event.event_id}" if event.event_id else ""
    return f"genuine: {clean(event.name)} of {clean(event.job_id)}{clean(named)}"


def _body(path: str) -> bytes:
    """Return what came in.

    Raises:
        SettingsError: it cannot be read.
    """
    if path == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from None


def _headers(given: Iterable[str], path: Path | None) -> dict[str, str]:
    """Return the headers that came with it.

    Raises:
        SettingsError: they cannot be read, or one is not `Name: value`.
    """
    lines = list(given)
    try:
        lines += path.read_text("latin-1").splitlines() if path else []
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from None
    pairs = [line.partition(":") for line in lines if line.strip()]
    for name, colon, _ in pairs:
        if not (colon and name.strip()):
            raise SettingsError(f"a header is `Name: value`, not {name!r}")
    return {name.strip(): value.strip() for name, _, value in pairs}


def _moment(arguments: argparse.Namespace) -> float | None:
    """Return as of when it is verified; None: now.

    Raises:
        SettingsError: it came in when a file was written, and there is none.
    """
    if arguments.at != RECEIVED:
        return cast("float | None", arguments.at)
    try:
        return Path(arguments.body).stat().st_mtime
    except OSError:
        raise SettingsError("--at received needs the FILE in which the body was kept") from None


def _when(text: str) -> float | str:
    if text == RECEIVED:
        return text
    try:
        moment = float(text)
    except ValueError:
        moment = math.nan
    if not math.isfinite(moment):
        raise argparse.ArgumentTypeError(f"{text!r} is neither a Unix time nor `{RECEIVED}`")
    return moment


def _parser() -> argparse.ArgumentParser:
    made = parser(NAME, "Say whether a webhook that came in is the service's.", calls=False)
    made.add_argument(
        "body",
        nargs="?",
        default="-",
        metavar="FILE",
        help="its raw body; by default what comes in",
    )
    made.add_argument(
        "--header", action="append", default=[], metavar="'NAME: VALUE'", help="repeatable"
    )
    made.add_argument("--headers", type=Path, metavar="FILE", help="a file of them, one a line")
    made.add_argument(
        "--at",
        type=_when,
        metavar="WHEN",
        help=f"as of then: a Unix time, or `{RECEIVED}`, when FILE was written; by default now",
    )
    return made
