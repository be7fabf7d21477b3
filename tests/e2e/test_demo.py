"""`make demo` as a newcomer runs it: another process, its own cluster, its own folder."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import yaml
from tests.support.waiting import patience

from bench.audio_files import tones, write_audio
from splitjob_local.demo.audio import decode, to_webm
from splitjob_local.programs.binaries import find_binaries
from splitjob_synth import SAMPLERATE, render_song

COMMAND: list[str | Path] = [Path(sys.executable).with_name("track-tree-audio"), "local", "demo"]
STEMS = ["bass", "drums", "other", "vocals"]
SECONDS = 280


@pytest.fixture(scope="module", autouse=True)
def binaries() -> None:
    find_binaries(print)


def demo(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=patience(SECONDS),
        env=os.environ | {"NO_COLOR": "1"},
    )


def read(file: Path) -> Any:
    return json.loads(file.read_text())


def test_the_synthesised_song(tmp_path: Path) -> None:
    ran = demo("--out", tmp_path)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "✗" not in ran.stdout
    assert "checks hold" in ran.stdout

    body = read(tmp_path / "webhook.json")
    assert (body["status"], body["error"], body["model"]) == ("completed", None, "demo")
    assert sorted(stem["type"] for stem in body["stems"]) == STEMS
    song = decode(tmp_path / "song.wav", SAMPLERATE)
    for stem in STEMS:
        assert decode(tmp_path / "stems" / f"{stem}.wav", SAMPLERATE).shape == song.shape

    splitjob = yaml.safe_load((tmp_path / "splitjob.yaml").read_text())
    assert splitjob["status"]["phase"] == "Completed"
    assert splitjob["status"]["webhook"]["state"] == "Delivered"
    assert read(tmp_path / "manifest.json")["status"] == "completed"
    page = (tmp_path / "index.html").read_text()
    assert page.count("data:audio/webm;base64,") == 5
    assert "X-Amz-Signature=" not in page


def test_a_song_of_ones_own(tmp_path: Path) -> None:
    """Another format and length, a name with a space; the demo says what to expect."""
    stems = render_song(4, 6.3, "heldout")
    song = tmp_path / "my song.webm"
    mixture = sum(stems.values(), start=np.zeros_like(stems["drums"]))
    song.write_bytes(to_webm(mixture, SAMPLERATE, 128))
    ran = demo("--out", tmp_path / "out", "--song", song)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "quality is limited" in " ".join(ran.stdout.split())
    assert (tmp_path / "out" / "song.webm").read_bytes() == song.read_bytes()
    assert "<h1>my song</h1>" in (tmp_path / "out" / "index.html").read_text()


def test_a_file_that_is_not_audio(tmp_path: Path) -> None:
    song = tmp_path / "page.mp3"
    song.write_text("<html>not found</html>")
    started = time.monotonic()
    ran = demo("--out", tmp_path / "out", "--song", song)
    assert ran.returncode == 1
    assert "no audio" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert time.monotonic() - started < patience(20)


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130)]
)
def test_ended_in_the_middle_it_leaves_nothing_behind(
    tmp_path: Path, number: int, status: int
) -> None:
    """While a worker runs: kill -9, and Ctrl-C, which is no success either."""
    song = write_audio(tmp_path / "tones.wav", tones(SAMPLERATE, 2.0, 2))
    process = subprocess.Popen(
        [*COMMAND, "--out", tmp_path, "--song", song],
        stdout=subprocess.PIPE,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    ours = psutil.Process(process.pid)
    children: set[psutil.Process] = set()
    assert process.stdout is not None
    for line in process.stdout:
        if "Running" in line or "Starting" in line:
            children = set(ours.children(recursive=True))
            break
    assert len(children) >= 8, "control plane, S3 server, node, API and operator were running"
    process.send_signal(number)
    process.stdout.close()
    assert process.wait(patience(60)) == status
    _, alive = psutil.wait_procs(list(children), timeout=patience(20))
    assert alive == []
