"""Run the decoder in its own process (`source.decoder_process`), watch it, and check its answer."""

import json
import logging
import os
import signal
import site
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from splitjob.errors import ErrorCode, Failure
from splitjob_worker.cgroups import oom_kills
from splitjob_worker.normalisation import Normalisation
from splitjob_worker.source import tags
from splitjob_worker.source.audio import MAX_MAGNITUDE, AudioLimits, Decoded
from splitjob_worker.spool import FRAME_BYTES, Spool

log = logging.getLogger(__name__)

_POLL_SECONDS = 0.05
_MAX_ANSWER_BYTES = 1 << 16
_DECODERS_PACKAGES = ("splitjob", "splitjob_worker", "numpy", "av")
_MOST_LOST_SECONDS = 1e9
# What tells a program to stop. By any other signal it ends for what it does itself, by SIGPIPE
# too, where it says more than is listened to.
_STOPS = {signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM}
_DECODERS_OWN_CODES = {
    ErrorCode.AUDIO_UNREADABLE,
    ErrorCode.AUDIO_UNSUPPORTED,
    ErrorCode.AUDIO_TOO_SHORT,
    ErrorCode.AUDIO_TOO_LONG,
    ErrorCode.WORKER_STORAGE,
}


def time_limit(max_seconds: int) -> float:
    """Return the seconds that decoding may take: far more than any honest file needs."""
    return 60 + max_seconds / 10


def decode(
    source: Path,
    spool: Path,
    limits: AudioLimits,
    *,
    check_cancelled: Callable[[], None] = lambda: None,
    timeout: float | None = None,
) -> tuple[Spool, Decoded]:
    """Decode a file into a spool.

    Args:
        source: the downloaded file.
        spool: where the spool is written.
        limits: for the decoder's process.
        check_cancelled: called every 50 ms; raises to stop.
        timeout: seconds; by default `time_limit`.

    Raises:
        Failure: `audio_*`, `worker_storage`, `worker_oom`, `worker_lost`, `internal_error`.
    """
    kills_before = oom_kills()
    child = _start(source, spool, limits)
    deadline = time.monotonic() + (timeout or time_limit(limits.max_seconds))
    try:
        answer = _listen(child, deadline, check_cancelled)
        status = child.poll() or 0  # before it is killed here, for talking too much
    finally:
        child.kill()
        child.wait()
    decoded = _read(answer, status, spool, kills_before)
    if decoded.damaged_seconds or decoded.missing_seconds:
        log.warning(
            "some of the source is lost",
            extra={"damaged": decoded.damaged_seconds, "missing": decoded.missing_seconds},
        )
    return Spool(spool, decoded.frames), decoded


def _start(source: Path, spool: Path, limits: AudioLimits) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "splitjob_worker.source.decoder_process",
         str(source.absolute()), str(spool.absolute()), json.dumps(asdict(limits))],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,  # not a file: the disk may be full
        stderr=subprocess.DEVNULL,  # FFmpeg's complaints about a hostile file are no use in our log
        bufsize=0,
        env=_environment(),
        cwd=spool.parent,
        start_new_session=True,
    )  # fmt: skip


def _environment() -> dict[str, str]:
    """Return the decoder's environment: where its programs are, where Python would not look.

    Nothing else of ours, which holds the keys, and not the whole PYTHONPATH, by which agents of a
    cluster put code of their own into every process.
    """
    specs = [find_spec(name) for name in _DECODERS_PACKAGES]
    folders = [str(Path(spec.origin).parents[1]) for spec in specs if spec and spec.origin]
    elsewhere = [one for one in dict.fromkeys(folders) if one not in site.getsitepackages()]
    paths = {
        "PYTHONPATH": os.pathsep.join(elsewhere),
        "LD_LIBRARY_PATH": os.environ.get("LD_LIBRARY_PATH", ""),
    }
    return {name: value for name, value in paths.items() if value}


def _listen(
    child: subprocess.Popen[bytes], deadline: float, check_cancelled: Callable[[], None]
) -> bytes:
    """Return the decoder's output; reading stops early if it is longer than any answer.

    Raises:
        Failure: `audio_timeout`.
    """
    if child.stdout is None:
        raise ValueError("the decoder's standard output is not a pipe")
    os.set_blocking(child.stdout.fileno(), False)
    answer = b""
    with child.stdout as output:
        while len(answer) <= _MAX_ANSWER_BYTES:
            ended = child.poll() is not None
            answer += output.read(_MAX_ANSWER_BYTES) or b""
            if ended:
                break
            check_cancelled()
            if time.monotonic() > deadline:
                raise _too_slow()
            with suppress(subprocess.TimeoutExpired):
                child.wait(_POLL_SECONDS)
    return answer


def _read(output: bytes, status: int, spool: Path, kills_before: int | None = None) -> Decoded:
    """Check the decoder's answer. It may have died, or a crafted file may have taken it over.

    Args:
        output: the answer.
        status: how its process ended.
        spool: what it has written.
        kills_before: what `oom_kills` said before it was started.

    Raises:
        Failure: the decoder's own, or one for the way it died.
    """
    try:
        answer = json.loads(output)
        if "code" in answer:
            failure = Failure(ErrorCode(answer["code"]), str(answer["message"])[:300])
        else:
            decoded = _decoded(answer)
            if decoded.frames > 0 and spool.stat().st_size == decoded.frames * FRAME_BYTES:
                return decoded
            failure = _died(status, kills_before)
    except (ValueError, TypeError, KeyError, AttributeError, OSError):
        raise _died(status, kills_before) from None
    raise failure if failure.code in _DECODERS_OWN_CODES else _died(status, kills_before)


def _decoded(answer: dict[str, Any]) -> Decoded:
    """Return the decoder's findings: only plausible numbers, and tags cleaned once more.

    Raises:
        ValueError, TypeError, KeyError, AttributeError: the answer holds something else.
    """
    found = Normalisation(*map(float, answer.pop("normalisation")))
    if not (abs(found.mean) <= MAX_MAGNITUDE and 0 < found.deviation <= MAX_MAGNITUDE):
        raise ValueError("not the mean and deviation of audio")
    damaged, missing = (_lost(answer.pop(name)) for name in ("damaged_seconds", "missing_seconds"))
    cleaned = tags.cleaned(answer.pop("tags"))
    counts = {name: int(value) for name, value in answer.items()}
    known = Decoded(**counts, normalisation=found, tags=cleaned)
    return replace(known, damaged_seconds=damaged, missing_seconds=missing)


def _lost(value: object) -> float:
    seconds = float(value) if isinstance(value, int | float) else -1
    if not 0 <= seconds <= _MOST_LOST_SECONDS:
        raise ValueError("not how much of the audio is lost")
    return seconds


def _died(status: int, kills_before: int | None) -> Failure:
    if status == -signal.SIGXCPU:
        return _too_slow()
    if status == -signal.SIGKILL:
        return _killed(kills_before, oom_kills())
    if status > 0:  # how Python ends after an exception that nobody caught
        return Failure(ErrorCode.INTERNAL_ERROR, f"the decoder broke off with status {status}")
    if -status in _STOPS:
        message = f"the decoder was told to stop (signal {-status}) from outside"
        return Failure(ErrorCode.WORKER_LOST, message)
    how = f"was ended by signal {-status}" if status < 0 else "gave no answer"
    return Failure(
        ErrorCode.AUDIO_UNREADABLE,
        f"the decoder {how} while reading the audio: the file is damaged in a way that it "
        "cannot cope with",
    )


def _killed(before: int | None, after: int | None) -> Failure:
    """Tell a decoder that the kernel killed for memory from one that somebody killed.

    The kernel counts before it kills. Where it does not say, memory is the likely cause.
    """
    if before is not None and before == after:
        return Failure(
            ErrorCode.WORKER_LOST,
            "the decoder was killed (SIGKILL) from outside, and not for memory: the kernel counts "
            "no such kill in this container",
        )
    counted = "" if after is None or before is None else " by the kernel"
    return Failure(
        ErrorCode.WORKER_OOM, f"the decoder was killed{counted}: the memory does not suffice"
    )


def _too_slow() -> Failure:
    return Failure(
        ErrorCode.AUDIO_TIMEOUT, "decoding the audio takes far longer than any honest file does"
    )
