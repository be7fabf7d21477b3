"""Runs the decoder (`splitjob_worker.decoder`) in its own process and minds it."""

import json
import logging
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from splitjob.errors import ErrorCode, Failure
from splitjob_worker.decoder import Decoded, Limits
from splitjob_worker.spool import Spool

log = logging.getLogger(__name__)

_POLL_SECONDS = 0.1


def time_limit(max_seconds: int) -> float:
    """Return the seconds that decoding may take: far more than any honest file needs."""
    return 60 + max_seconds / 10


def decode(
    source: Path,
    spool: Path,
    limits: Limits,
    *,
    check_stop: Callable[[], None] = lambda: None,
    timeout: float | None = None,
) -> tuple[Spool, Decoded]:
    """Decode a file into a spool.

    Args:
        source: the downloaded file.
        spool: where the spool is written.
        limits: for the decoder's process.
        check_stop: called again and again; raises to stop.
        timeout: seconds; by default `time_limit`.

    Raises:
        Failure: `audio_*`, `worker_storage`.
    """
    child = subprocess.Popen(
        [sys.executable, "-I", "-m", "splitjob_worker.decoder", str(source.absolute()),
         str(spool.absolute()), json.dumps(asdict(limits))],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # FFmpeg's words about a hostile file are no use in our log
        env={},
        cwd=spool.parent,
        start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + (timeout or time_limit(limits.max_seconds))
    try:
        while True:
            try:
                output, _ = child.communicate(timeout=_POLL_SECONDS)
                break
            except subprocess.TimeoutExpired:
                check_stop()
                if time.monotonic() > deadline:
                    raise _too_slow() from None
    finally:
        child.kill()
        child.wait()
    decoded = _read(output, child.returncode)
    if decoded.damaged_packets or decoded.bad_samples:
        log.warning(
            "the source is damaged",
            extra={"packets": decoded.damaged_packets, "samples": decoded.bad_samples},
        )
    return Spool(spool, decoded.frames), decoded


def _read(output: bytes, status: int) -> Decoded:
    """Return what the decoder said; a decoder that died says nothing.

    Raises:
        Failure: the decoder's own, or one for the way it died.
    """
    try:
        answer = json.loads(output)
    except ValueError:
        raise _died(status) from None
    if "code" in answer:
        raise Failure(ErrorCode(answer["code"]), str(answer["message"]))
    return Decoded(**answer)


def _died(status: int) -> Failure:
    if status in {-signal.SIGXCPU, -signal.SIGKILL}:  # only its CPU limit ends it so
        return _too_slow()
    how = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
    return Failure(
        ErrorCode.AUDIO_UNREADABLE,
        f"the decoder {how} while reading the audio: the file is damaged in a way that it "
        "cannot cope with",
    )


def _too_slow() -> Failure:
    return Failure(
        ErrorCode.AUDIO_TIMEOUT, "decoding the audio takes far longer than any honest file does"
    )
