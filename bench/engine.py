"""The separation engine against Demucs' own `apply_model`, both in a process of their own.

`python -m bench.engine ours|demucs SECONDS` is such a process: it separates noise with the demo
model and prints what that took; `python -m bench.engine forward` compares single forward passes.
"""

import copy
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch

from bench.figures import Figure, at_most, note
from splitjob.models import load_registry
from splitjob_worker import weights
from splitjob_worker.encode import Encoding
from splitjob_worker.engine import device as devices
from splitjob_worker.engine.modules import sped_up
from splitjob_worker.engine.statistics import normalisation
from splitjob_worker.machine import cpus
from splitjob_worker.progress import Progress
from splitjob_worker.scratch import Scratch
from splitjob_worker.separate import Options, Separator
from splitjob_worker.song import Output, separate_song
from splitjob_worker.spool import Spool, SpoolWriter

COMMAND = "make bench ONLY=engine"
RATE = 44_100
SHORT, LONG, SPEED = "180", "1800", "60"  # seconds of audio
ROUNDS = 3
POLL_SECONDS = 0.2  # reading it takes milliseconds of the CPU time measured


def measure() -> list[Figure]:
    """Return the figures; takes about ten minutes."""
    short, long, theirs = _child("ours", SHORT), _child("ours", LONG), _child("demucs", LONG)
    speed = [(_child("ours", SPEED)["cpu"], _child("demucs", SPEED)["cpu"]) for _ in range(ROUNDS)]
    return [
        at_most(
            "engine: memory, 30 min / 3 min", long["pss"] / short["pss"], "ratio", 1.1, COMMAND
        ),
        at_most(
            "engine: memory, 30 min, ours / apply_model",
            long["pss"] / theirs["pss"],
            "ratio",
            0.15,
            COMMAND,
        ),
        note("engine: memory, 30 min", long["pss"] / 1024, "MB", COMMAND),
        note(
            "engine: CPU time, demo model, ours / apply_model",
            statistics.median(ours / other for ours, other in speed),
            "ratio",
            COMMAND,
        ),
        note(
            "engine: CPU time, one htdemucs forward pass, ours / Demucs",
            _child("forward")["cpu"],
            "ratio",
            COMMAND,
        ),
    ]


def _child(*arguments: str) -> dict[str, float]:
    """Run this module in a process of its own, with threads that sleep while they wait."""
    command = [sys.executable, "-m", "bench.engine", *arguments]
    environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}
    output = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, env=environment
    ).stdout
    result: dict[str, float] = json.loads(output.splitlines()[-1])
    print(f"    {' '.join(arguments)}: {result}", flush=True)
    return result


def _forward_ratio() -> float:
    """Return the CPU time of a forward pass of htdemucs' architecture, as a share of Demucs'."""
    from demucs.htdemucs import HTDemucs  # noqa: PLC0415

    original = HTDemucs(
        ["drums", "bass", "other", "vocals"],
        dconv_mode=3,
        bottom_channels=512,
        segment=Fraction(39, 5),
    )
    original.eval().requires_grad_(requires_grad=False)
    ours = sped_up(copy.deepcopy(original), torch.device("cpu"))
    heard = torch.randn(1, 2, int(RATE * original.segment))
    ratios = []
    for _ in range(ROUNDS + 1):
        torch.backends.mha.set_fastpath_enabled(True)
        theirs = _cpu_seconds(lambda: original(heard))
        devices.set_up(cpus(), "ieee")
        ratios.append(_cpu_seconds(lambda: ours(heard)) / theirs)
    return statistics.median(ratios[1:])


@torch.inference_mode()
def _cpu_seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def _noise(path: Path, seconds: int) -> Spool:
    generator = np.random.default_rng(0)
    with SpoolWriter(path) as writer:
        for _ in range(seconds):
            writer.append(0.2 * generator.standard_normal((RATE, 2), np.float32))
        return writer.close()


def _ours(found: weights.Weights, mixture: Spool, folder: Path) -> None:
    output = Output(Encoding("wav", 32, clip_mode="none"), folder, Scratch(folder))
    statistics = normalisation(mixture.blocks())
    separate_song(
        Separator(found, "cpu"),
        mixture,
        statistics,
        Options(),
        output,
        progress=Progress(sys.stderr),
    )


def _demucs(found: weights.Weights, mixture: Spool, _folder: Path) -> None:
    """Do what the `demucs` command does between reading and writing its files."""
    from demucs.apply import BagOfModels, apply_model  # noqa: PLC0415
    from demucs.hf import load_safetensors_model  # noqa: PLC0415

    torch.set_num_threads(cpus())
    bag = BagOfModels([load_safetensors_model(path) for path in found.paths]).eval()
    wav = torch.from_numpy(np.fromfile(mixture.path, np.float32).reshape(-1, 2).T.copy())
    mean, deviation = wav.mean(), wav.mean(0).std() + 1e-8
    stems = apply_model(bag, ((wav - mean) / deviation)[None], shifts=0)
    stems = stems * deviation + mean


def _peak_pss(stop: threading.Event, result: dict[str, float]) -> None:
    """Note the largest proportional set size of this process (Linux), in KiB."""
    while not stop.wait(POLL_SECONDS):
        for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                result["pss"] = max(result["pss"], float(line.split()[1]))


def _separate(who: str, seconds: int) -> dict[str, float]:
    """Return CPU and wall time in seconds, and the peak of the memory in KiB."""
    work = {"ours": _ours, "demucs": _demucs}[who]
    found = weights.find(load_registry()["demo"], None)
    result, stop = {"pss": 0.0}, threading.Event()
    with tempfile.TemporaryDirectory() as name:
        mixture = _noise(Path(name) / "mixture.f32", seconds)
        watch = threading.Thread(target=_peak_pss, args=(stop, result))
        watch.start()
        wall, cpu = time.monotonic(), time.process_time()
        try:
            work(found, mixture, Path(name))
        finally:
            stop.set()
            watch.join()
    return {**result, "wall": time.monotonic() - wall, "cpu": time.process_time() - cpu}


def main() -> None:
    """Measure what the arguments say; print it as JSON."""
    if sys.argv[1] == "forward":
        result = {"cpu": _forward_ratio()}
    else:
        result = _separate(sys.argv[1], int(sys.argv[2]))
    print(json.dumps({key: round(value, 3) for key, value in result.items()}))


if __name__ == "__main__":
    main()
