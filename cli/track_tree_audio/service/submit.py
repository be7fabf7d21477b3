"""`track-tree-audio submit`: one song, by its URL or from a file of this machine."""

import argparse
import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, cast
from urllib.parse import unquote, urlsplit

from splitjob_client import Client, SettingsError, SplitFields, Submitted
from track_tree_audio.service import progress
from track_tree_audio.service.command import ExitStatus, client, parser, run
from track_tree_audio.service.output import as_json

ENV_WEBHOOK = "WEBHOOK"
NAME = "submit"


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    return run(NAME, _parser(), _submit, argv)


def _submit(arguments: argparse.Namespace) -> ExitStatus:
    with client(arguments) as service:
        request = _request(arguments)
        _refuse_file_with_uploads(arguments.song, request["uploads"])
        request["audio_url"] = _audio_url(service, arguments.song)
        # Its names are those of the parser's options, and what they take is checked there.
        submitted = service.submit(**cast("SplitFields", request))
        _tell(submitted, arguments)
        if arguments.watch:
            return progress.watch(service, submitted.job_id, arguments)
    return ExitStatus.DONE


def _tell(submitted: Submitted, arguments: argparse.Namespace) -> None:
    """Print the job's id alone, for `JOB=$(track-tree-audio submit ...)`; the rest to people."""
    if arguments.json:
        print(as_json(submitted, created=submitted.created), flush=True)
        return
    print(submitted.job_id, flush=True)
    if not submitted.created:
        print("the same request again: this is its job", file=sys.stderr)
    for warning in submitted.warnings:
        print(f"note: {warning}", file=sys.stderr)


def _audio_url(service: Client, song: str) -> str:
    """Return where the song is, which is sent there first if it is a file."""
    if song == "-":  # so that a presigned URL is in no list of processes
        return sys.stdin.readline().strip()
    if _is_url(song):
        return song
    file = Path(song).expanduser()
    with progress.sending(file, sys.stderr) as on_sent:
        return service.upload(file, on_sent)


def _refuse_file_with_uploads(song: str, uploads: Mapping[str, Any] | None) -> None:
    """Refuse what the service would refuse once the whole file was sent.

    Raises:
        SettingsError: the song goes into the service's bucket, the stems into another one.
    """
    if uploads and song != "-" and not song.startswith(("http://", "https://")):
        raise SettingsError(
            "with --uploads the song must be a URL: for a file the service's bucket is used, which "
            "--uploads does without"
        )


def _request(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the fields of the request, all but the song."""
    webhook = arguments.webhook or os.environ.get(ENV_WEBHOOK)
    if not webhook:
        raise SettingsError(
            f"give --webhook URL, or set {ENV_WEBHOOK}: where the events go. It must be on the "
            "service's list, also with --no-events"
        )
    fields = {name: getattr(arguments, name) for name in _FIELDS}
    return {
        **fields,
        "version_id": arguments.version_id or _version_id(arguments.song),
        "webhook": webhook,
        "metadata": dict(arguments.metadata) or None,
        "events": [] if arguments.no_events else arguments.events,
        "uploads": _uploads(arguments.uploads),
    }


def _version_id(song: str) -> str:
    """Return a name for the version, after the song's.

    Raises:
        SettingsError: the song has none.
    """
    path = unquote(urlsplit(song).path) if _is_url(song) else song
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", PurePosixPath(path).stem).strip("._-")[:128]
    if not name:
        raise SettingsError("give --version-id: your name of the song's version")
    return name


def _uploads(path: Path | None) -> Mapping[str, Any] | None:
    """Return the presigned URLs that a file holds.

    Raises:
        SettingsError: it cannot be read.
    """
    if path is None:
        return None
    try:
        uploads = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        uploads = None
    if not isinstance(uploads, dict):
        raise SettingsError(f"{path} is to hold a JSON object: the URL of each stem, and manifest")
    return uploads


def _is_url(song: str) -> bool:
    """Whether a song is at an address, that of a file which was sent before among them."""
    return song.startswith(("http://", "https://", "s3://"))


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def _parser() -> argparse.ArgumentParser:
    made = parser(NAME, "Ask for a song to be separated; prints the job's id.")
    made.add_argument(
        "song",
        metavar="SONG-URL-OR-FILE",
        help="a URL that the service can fetch; a file, which is sent to the service's bucket "
        "first; or -, to read the URL from standard input",
    )
    made.add_argument("--model", dest="ai_model", required=True, help="one of `models`")
    made.add_argument("--webhook", metavar="URL", help=f"where events go; instead of {ENV_WEBHOOK}")
    progress.add_watch_option(made)
    _add_files(made.add_argument_group("what comes out"))
    _add_events(made.add_argument_group("what you are told"))
    _add_queue(made.add_argument_group("when"))
    return made


def _add_files(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--version-id", metavar="NAME", help="by default after the song's name")
    group.add_argument(
        "--stem", dest="stems", action="append", metavar="NAME", help="only this one; repeatable"
    )
    group.add_argument(
        "--remainder", action="store_true", default=None, help="and the song without them"
    )
    group.add_argument("--format", choices=("wav", "flac", "mp3", "m4a", "aac", "opus"))
    group.add_argument(
        "--bit-depth", type=int, metavar="BITS", help="16, 24 or 32, of wav; of flac"
    )
    group.add_argument("--bitrate-kbps", type=int, metavar="KBPS", help="of mp3, m4a and opus")
    group.add_argument(
        "--clip-mode",
        metavar="MODE",
        help="rescale, shared, clamp, none; exact, with --bit-depth 24 or 32",
    )
    group.add_argument(
        "--residual-to",
        metavar="NAME",
        help="with --clip-mode exact: the stem that takes what is left over, or residual",
    )
    group.add_argument("--shifts", type=int, metavar="N", help="better, N times slower")
    group.add_argument("--overlap", type=float, help="of the model's segments, 0.25 by default")
    group.add_argument("--seed", type=int, help="of the shifts")
    group.add_argument(
        "--waveforms",
        action="store_true",
        default=None,
        help="and what a player draws: stem.waveform.json, mixture.waveform.json",
    )
    group.add_argument(
        "--uploads",
        type=Path,
        metavar="FILE",
        help="JSON: the presigned PUT URL of each stem and of `manifest`, for a bucket of yours",
    )


def _add_events(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--event",
        dest="events",
        action="append",
        choices=("started", "progress", "completed", "failed", "canceled"),
        help="only this webhook; repeatable; by default the last three",
    )
    group.add_argument("--no-events", action="store_true", help="no webhook at all")
    group.add_argument("--correlation-id", metavar="TEXT", help="repeated in every webhook")
    group.add_argument(
        "--metadata",
        type=_pair,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="repeated in every webhook; repeatable",
    )


def _add_queue(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--idempotency-key", metavar="KEY", help="the same key, the same job")
    group.add_argument("--priority", type=int, help="-100 to 100; higher goes first")
    group.add_argument("--queue-deadline-seconds", type=int, metavar="N", help="longest wait")
    group.add_argument("--run-deadline-seconds", type=int, metavar="N", help="longest run")


_FIELDS = (
    "ai_model",
    "bit_depth",
    "bitrate_kbps",
    "clip_mode",
    "correlation_id",
    "format",
    "idempotency_key",
    "overlap",
    "priority",
    "queue_deadline_seconds",
    "remainder",
    "residual_to",
    "run_deadline_seconds",
    "seed",
    "shifts",
    "stems",
    "waveforms",
)
