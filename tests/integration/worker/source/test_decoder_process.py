"""The decoder's own process: hung, dead, killed, stopped or lying, it takes nobody along."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tests.support.waiting import patience

from splitjob.errors import ErrorCode, Failure
from splitjob_worker.cancellation import Cancelled
from splitjob_worker.source import decode as decoding
from splitjob_worker.source import sandbox
from splitjob_worker.source.audio import AudioLimits
from splitjob_worker.source.decode import decode

LIMITS = AudioLimits(rate=44100, max_seconds=20)


def test_a_decoder_that_hangs_is_ended(tmp_path: Path, song: bytes) -> None:
    """Acceptance 34."""
    os.mkfifo(tmp_path / "source")  # opening it blocks for ever
    began = time.monotonic()
    with pytest.raises(Failure) as caught:
        decode(tmp_path / "source", tmp_path / "spool", LIMITS, timeout=0.5)
    assert caught.value.code is ErrorCode.AUDIO_TIMEOUT
    assert time.monotonic() - began < patience(5)


def test_a_decoder_that_dies_takes_nobody_along(
    tmp_path: Path, song: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Acceptance 34: here by its memory limit, far too low to start with: not the song's fault."""
    (tmp_path / "source").write_bytes(song)
    limits = AudioLimits(44100, 20, memory_bytes=40 << 20)
    with pytest.raises(Failure) as caught:
        decode(tmp_path / "source", tmp_path / "spool", limits)
    assert caught.value.code is ErrorCode.INTERNAL_ERROR
    assert decoding._died(-11, None).code is ErrorCode.AUDIO_UNREADABLE
    assert decoding._died(-24, None).code is ErrorCode.AUDIO_TIMEOUT


@pytest.mark.parametrize(
    ("number", "before", "after", "code"),
    [
        (signal.SIGKILL, 3, 4, ErrorCode.WORKER_OOM),
        (signal.SIGKILL, 3, 3, ErrorCode.WORKER_LOST),
        (signal.SIGKILL, None, None, ErrorCode.WORKER_OOM),
        (signal.SIGTERM, None, None, ErrorCode.WORKER_LOST),
    ],
)
def test_a_decoder_that_is_killed_is_told_apart_by_what_the_kernel_counts(
    tmp_path: Path,
    number: signal.Signals,
    before: int | None,
    after: int | None,
    code: ErrorCode,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Acceptance 36: a child killed for memory, or by somebody; with figures, or without."""
    os.mkfifo(tmp_path / "source")  # opening it blocks for ever
    counts, start = iter([before, after]), decoding._start
    children: list[subprocess.Popen[bytes]] = []

    def noted(*arguments: Any) -> subprocess.Popen[bytes]:
        children.append(start(*arguments))
        return children[0]

    def kill() -> None:
        children[0].send_signal(number)

    monkeypatch.setattr(decoding, "oom_kills", lambda: next(counts))
    monkeypatch.setattr(decoding, "_start", noted)
    with pytest.raises(Failure) as caught:
        decode(tmp_path / "source", tmp_path / "spool", LIMITS, check_cancelled=kill)
    assert (caught.value.code, caught.value.retryable) == (code, True)


_FOUND = b'{"frames": 1, "source_frames": 4, "source_rate": 1, "source_channels": 1, %s}'


@pytest.mark.parametrize(
    "output",
    [
        b"",
        b"[]",
        b'{"frames": 1000000000000}',
        b'{"frames": 4, "source_frames": 4, "source_rate": 1, "source_channels": 1}',
        b'{"code": "canceled", "message": "x"}',
        b'{"code": "no such code", "message": "x"}',
        b'{"code": "audio_unreadable"}',
        b'{"frames": -1, "source_frames": 4, "source_rate": 1, "source_channels": 1}',
        _FOUND % b'"tags": [], "normalisation": [0, 1]',
        _FOUND % b'"tags": {}, "normalisation": [NaN, 1]',
        _FOUND % b'"tags": {}, "normalisation": [0, 0]',
        _FOUND % b'"tags": {}, "normalisation": [0, 1, 2]',
        _FOUND % b'"tags": {}',
    ],
)
def test_what_a_decoder_in_foreign_hands_may_say(tmp_path: Path, output: bytes) -> None:
    (tmp_path / "spool").write_bytes(bytes(8))
    with pytest.raises(Failure, match="gave no answer") as caught:
        decoding._read(output, 0, tmp_path / "spool")
    assert caught.value.code is ErrorCode.AUDIO_UNREADABLE


def test_a_decoder_that_never_stops_talking_is_ended(
    tmp_path: Path, song: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "source").write_bytes(song)
    talker = tmp_path / "talker"
    talker.write_text("#!/bin/sh\nexec yes\n", encoding="utf-8")
    talker.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(talker))
    with pytest.raises(Failure) as caught:
        decode(tmp_path / "source", tmp_path / "spool", LIMITS)
    assert caught.value.code is ErrorCode.AUDIO_UNREADABLE


def test_stopping_ends_the_decoder(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "source")

    def stop() -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        decode(tmp_path / "source", tmp_path / "spool", LIMITS, check_cancelled=stop)


def test_nobody_reads_the_keys_of_a_hidden_process() -> None:
    """The decoder runs as the same user as the worker, whose environment holds the keys."""
    script = """
import ctypes, os, subprocess
from splitjob_worker.machine import hide_from_children
if os.getuid() == 0:
    os.setuid(65534)
ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # as any ordinary process is
look = ["cat", f"/proc/{os.getpid()}/environ"]
print(b"very-secret" in subprocess.run(look, capture_output=True).stdout)
hide_from_children()
print(b"very-secret" in subprocess.run(look, capture_output=True).stdout)
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"S3_SECRET_ACCESS_KEY": "very-secret", "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["True", "False"], done.stderr


@pytest.mark.skipif(sandbox.version() < 4, reason="this kernel's Landlock knows no network")
def test_a_confined_process_keeps_nothing_but_its_files(tmp_path: Path) -> None:
    for name in ("source", "spool", "secret"):
        (tmp_path / name).write_text(name)
    script = f"""
import socket, sys
from pathlib import Path
from typing import Any
from splitjob_worker.source import sandbox
from splitjob_worker.machine import forbid_new_privileges
folder = Path({str(tmp_path)!r})
forbid_new_privileges()
print(sandbox.restrict([folder / "source"], [folder / "spool"]))
print((folder / "source").read_text())
(folder / "spool").write_text("new")
for deed in (
    lambda: (folder / "secret").read_text(),
    lambda: (folder / "source").write_text("x"),
    lambda: (folder / "other").write_text("x"),
    lambda: list(folder.iterdir()),
    lambda: Path("/etc/passwd").read_text(),
    lambda: socket.create_connection(("127.0.0.1", 9)),
):
    try:
        print(deed())
    except PermissionError:
        print("refused")
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["True", "source", *["refused"] * 6], done.stderr
