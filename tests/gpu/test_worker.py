"""The command and the pod's program on a GPU."""

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np
import psutil
import pytest
import torch
from tests.support.web import Web, answer, web_server
from tests.support.worker import Models, Worker

import splitjob.models
import splitjob_worker
from bench.audio_files import Samples, tones, write_audio
from splitjob.errors import ErrorCode
from splitjob.result import EXIT_DONE, EXIT_TRANSIENT
from splitjob_local.cluster.s3server import S3Access

if not torch.cuda.is_available():
    pytest.skip("takes an NVIDIA GPU", allow_module_level=True)

COMMAND = Path(sys.executable).with_name("track-tree-audio")
STEMS = ("drums", "bass", "other", "vocals")
HOLDING = """
import sys, torch
free, _ = torch.cuda.mem_get_info()
held = []
size = free - int(sys.argv[1])
while size > 1 << 20:
    try:
        held.append(torch.empty(size, dtype=torch.uint8, device="cuda"))
        size = min(size, torch.cuda.mem_get_info()[0] - int(sys.argv[1]))
    except torch.OutOfMemoryError:
        size //= 2
print("holding", flush=True)
sys.stdin.read()
"""
# Some kernel of the second batch fails while it runs, which shows at some later call.
BREAKING = """
import runpy, sys, torch
from splitjob_worker.engine import stream

forward, passes = stream._Line._forward, []

def breaking(self, batch, heard):
    passes.append(len(batch))
    if len(passes) == 2:
        heard.flatten()[torch.tensor([1 << 40], device=heard.device)]
    return forward(self, batch, heard)

stream._Line._forward = breaking
runpy.run_path(sys.argv.pop(1), run_name="__main__")
"""


@pytest.fixture(scope="module")
def song(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty seconds of stereo."""
    return write_audio(tmp_path_factory.mktemp("song") / "song.wav", tones(44100, 40.0, 2))


@pytest.fixture
def web() -> Iterator[Web]:
    """A server of this test's own."""
    with web_server() as server:
        yield server


@pytest.fixture
def worker(web: Web, tmp_path: Path) -> Worker:
    """Workers of this test, which have the demo model and no bucket."""
    registry = Path(splitjob.models.__file__).with_name("models.yaml")
    record = splitjob.models.load_registry()["demo"]
    return Worker(S3Access("", "", "", ""), web, Models(tmp_path, registry, record), tmp_path)


def uploads(worker: Worker) -> dict[str, dict[str, str]]:
    """Let the worker's receiver take the stems; return the request's `uploads`."""
    result = {}
    for name in (*STEMS, "manifest"):
        url = worker.web.serve(f"/{name}", answer(200))
        (worker.folder / "secret" / f"upload.{name}").write_text(url)
        result[name] = {"url": url.partition("?")[0], "secretKey": f"upload.{name}"}
    return result


def separate(
    song: Path, out: Path, *options: str, **environment: str
) -> "subprocess.CompletedProcess[str]":
    """Run the command with the demo model, to wav files of floats."""
    words = ["separate", "-n", "demo", "--shifts", "0", "--float32", "--clip-mode", "none", "-o"]
    return subprocess.run(
        [COMMAND, *words, out, *options, song],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
        env={**os.environ, **environment},
    )


def stems(out: Path) -> dict[str, Samples]:
    """Return what lies in the command's output, shape (2, n) each."""
    found = {}
    for path in out.rglob("*.wav"):
        with av.open(path) as file:
            found[path.stem] = np.concatenate(
                [frame.to_ndarray() for frame in file.decode(audio=0)], axis=1
            )
    return found


def test_the_command_gives_on_a_gpu_what_it_gives_on_a_cpu(song: Path, tmp_path: Path) -> None:
    for device in ("cpu", "cuda"):
        done = separate(song, tmp_path / device, "-d", device)
        assert done.returncode == 0, done.stderr
    ours, theirs = stems(tmp_path / "cuda"), stems(tmp_path / "cpu")
    assert set(ours) == set(theirs) == set(STEMS)
    for name, samples in ours.items():
        assert np.abs(samples - theirs[name]).max() < 1e-4


def test_the_gpu_is_taken_by_itself(song: Path, tmp_path: Path) -> None:
    done = separate(song, tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "cuda" in done.stderr


def test_a_gpu_that_is_hidden_is_never_a_cpu(song: Path, tmp_path: Path) -> None:
    done = separate(song, tmp_path / "out", "-d", "cuda", CUDA_VISIBLE_DEVICES="")
    assert done.returncode == 14, done.stderr
    assert not stems(tmp_path / "out")


@contextmanager
def free_memory(size: int) -> Iterator[None]:
    """Let somebody else hold all of the GPU's memory but so many bytes."""
    command = [sys.executable, "-c", HOLDING, str(size)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"holding\n"
        try:
            yield
        finally:
            holder.kill()


def test_a_gpu_that_others_have_filled_is_told(song: Path, tmp_path: Path) -> None:
    with free_memory(50 << 20):
        done = separate(song, tmp_path / "out", "-d", "cuda")
    assert done.returncode == 11, done.stderr
    assert "memory" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_gpu_that_others_have_filled_half_will_do(song: Path, tmp_path: Path) -> None:
    with free_memory(1500 << 20):
        done = separate(song, tmp_path / "out", "-d", "cuda")
    assert done.returncode == 0, done.stderr


def test_a_job_from_the_source_to_its_uploads(worker: Worker, song: Path) -> None:
    """As the pod runs it: hidden from its children, and without a way to new rights."""
    source = worker.source(worker.web.give("/song.wav", song.read_bytes()))
    request = {"model": "demo", "source": source, "uploads": uploads(worker)}
    environment = worker.environment(request, DEVICE="cuda")
    run = worker.finish(worker.execute(environment), environment)
    assert run.status == EXIT_DONE, run.log
    assert run.report is not None
    sent = {what: body for what, _, body in worker.web.requests if what.startswith("PUT ")}
    assert {stem.name for stem in run.report.stems} == set(STEMS)
    for stem in run.report.stems:
        assert hashlib.sha256(sent[f"PUT /{stem.name}"]).hexdigest() == stem.sha256
    assert b'"device":"cuda"' in sent["PUT /manifest"].replace(b'": "', b'":"')


def test_a_gpu_that_fails_in_the_middle_of_a_job(worker: Worker, song: Path) -> None:
    """Torch would end the process, with everything untold, were it not kept from it."""
    source = worker.source(worker.web.give("/song.wav", song.read_bytes()))
    request = {"model": "demo", "source": source, "uploads": uploads(worker)}
    environment = worker.environment(request, DEVICE="cuda")
    program = Path(splitjob_worker.__file__).with_name("__main__.py")
    process = worker.execute(environment, ["-c", BREAKING, program])
    run = worker.finish(process, environment)
    assert run.report is not None, run.log
    assert (run.report.code, run.status) == (ErrorCode.GPU_ERROR, EXIT_TRANSIENT), run.log
    assert list(run.scratch.iterdir()) == []


def test_a_gpu_that_fails_in_the_middle_of_a_command(song: Path, tmp_path: Path) -> None:
    words = ["-n", "demo", "-d", "cuda", "-o", str(tmp_path / "out"), str(song)]
    done = subprocess.run(
        [sys.executable, "-c", BREAKING, COMMAND, "separate", *words],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 14, done.stderr
    assert "the device cuda failed" in done.stderr
    assert not stems(tmp_path / "out")


def test_a_job_that_is_killed_gives_the_gpu_back(worker: Worker, song: Path) -> None:
    free = torch.cuda.mem_get_info()[0]
    source = worker.source(worker.web.give("/song.wav", song.read_bytes()))
    request = {"model": "demo", "source": source, "uploads": uploads(worker)}
    environment = worker.environment(request, DEVICE="cuda")
    process = worker.execute(environment)
    deadline = time.monotonic() + 60
    while process.program.poll() is None and time.monotonic() < deadline:
        if torch.cuda.mem_get_info()[0] < free - (200 << 20):
            break
        time.sleep(0.02)
    else:
        pytest.fail("the worker never took memory of the GPU")
    family = [parent := psutil.Process(process.program.pid), *parent.children(recursive=True)]
    process.program.kill()
    process.wait()
    psutil.wait_procs(family, timeout=10)
    assert torch.cuda.mem_get_info()[0] > free - (50 << 20)
