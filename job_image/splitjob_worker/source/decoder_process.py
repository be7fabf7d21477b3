"""The decoder's process: it gives up its rights, then turns one audio file into a spool.

`python -P -m splitjob_worker.source.decoder_process SOURCE SPOOL LIMITS` with LIMITS as JSON. It
prints one line of JSON: what it found, or a failure's code and message. Whatever a crafted file
does to FFmpeg happens here, with a memory limit, a CPU limit and an environment of nothing but
search paths, and ends with it.
"""

import json
import os
import resource
import signal
import sys
from dataclasses import asdict, astuple
from pathlib import Path
from typing import Any

from splitjob.errors import ErrorCode, Failure
from splitjob_worker.machine import forbid_new_privileges, hide_from_children
from splitjob_worker.source import sandbox
from splitjob_worker.source.audio import AudioLimits, Decoded


def main(argv: list[str]) -> int:
    """Decode as the command line says; print one line of JSON."""
    source, spool, limits = Path(argv[0]), Path(argv[1]), AudioLimits(**json.loads(argv[2]))
    _confine(source, spool, limits)
    try:
        answer = _answer(_decode(source, spool, limits))
    except Failure as failure:
        answer = {"code": failure.code, "message": failure.message}
    except MemoryError:
        answer = {
            "code": ErrorCode.AUDIO_UNREADABLE,
            "message": "the audio file asks for more memory than any song needs",
        }
    print(json.dumps(answer), flush=True)
    return 0


def _decode(source: Path, spool: Path, limits: AudioLimits) -> Decoded:
    # FFmpeg and numpy are loaded within the limits: a file that attacks them finds no more rights.
    from splitjob_worker.source.decoder import decode_file  # noqa: PLC0415

    return decode_file(source, spool, limits)


def _answer(found: Decoded) -> dict[str, Any]:
    return {**asdict(found), "normalisation": astuple(found.normalisation)}


def _confine(source: Path, spool: Path, limits: AudioLimits) -> None:
    """Take away what a decoder does not need, before it touches the file."""
    forbid_new_privileges()
    hide_from_children()
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # numpy would reserve memory for a thread per core
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_CPU, limits.cpu_seconds, grace=5)  # SIGXCPU first, which says why
    if sys.platform == "linux":
        _lower(resource.RLIMIT_AS, limits.memory_bytes)
    _lower(resource.RLIMIT_FSIZE, (limits.max_seconds + 10) * limits.rate * 8)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    spool.touch()
    sandbox.restrict(readable=[source], writable=[spool])


def _lower(kind: int, limit: int, grace: int = 0) -> None:
    """Lower a limit of this process, never raise it; the hard limit is higher by `grace`."""
    _soft, hard = resource.getrlimit(kind)
    ceiling = limit + grace if hard == resource.RLIM_INFINITY else min(limit + grace, hard)
    resource.setrlimit(kind, (min(limit, ceiling), ceiling))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
