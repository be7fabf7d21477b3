"""The engine on an NVIDIA GPU: against the `demucs` command on the same one, and by itself.

Demucs' convolutions run in TF32, as cuDNN's do by default; ours only where that is asked for. Both
are compared.
"""

import math
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from demucs.apply import apply_model
from demucs.pretrained import get_model

from bench.engine import FULL, Arena
from bench.figures import Figure, at_most, note
from bench.material import RATE, Model, random_model
from bench.normalising import normalisation
from bench.reference import InMemory, separated, song
from splitjob.models import load_registry
from splitjob_synth import render_song
from splitjob_worker.engine import device as devices
from splitjob_worker.engine import stream, weights
from splitjob_worker.engine.bag import Bag, load_bag
from splitjob_worker.engine.describe import describe
from splitjob_worker.engine.options import Options, Precision
from splitjob_worker.machine import cpu_count

COMMAND = "make bench ONLY=gpu"
SECONDS = 600
BATCHES = (1, 2, 4, 8, 16, 32)
PIECE_SECONDS = 40.0
_LOWERED: tuple[Precision, ...] = ("tf32", "fp16", "bf16")


def measure() -> list[Figure]:
    """Return the figures; takes a few minutes, and none without a GPU."""
    if not torch.cuda.is_available():
        print("    nothing measured: torch finds no NVIDIA GPU here", flush=True)
        return []
    with tempfile.TemporaryDirectory(prefix="bench-gpu-") as name:
        arena = Arena(Path(name), FULL, "cuda")
        model = random_model(arena.folder, *FULL.large)
        return [*_commands(arena, model), *_batches(model), *_precisions()]


def _commands(arena: Arena, model: Model) -> Iterator[Figure]:
    """Compare whole commands, from a cold process to its end."""
    for seconds in (180, SECONDS):
        duel = arena.duel(model, seconds)
        name = f"gpu: wall, htdemucs, {seconds // 60} min"
        yield at_most(name, duel.ratio, "ratio", 1.0, COMMAND)
        yield note(f"{name}, ours", duel.wall, "s", COMMAND)
    ours = arena.ours(model, SECONDS, memory=True).run.peak_bytes
    theirs = arena.theirs(model, SECONDS, memory=True).peak_bytes
    name = f"gpu: host memory, {SECONDS // 60} min"
    yield at_most(name, ours / theirs, "ratio", 1.0, COMMAND)
    yield note(f"{name}, ours", ours / 1e6, "MB", COMMAND)


def _batches(model: Model) -> Iterator[Figure]:
    """Measure how much the size of the batches matters, in a process that is warm."""
    gpu = devices.open_device("cuda")
    samples = song(SECONDS * RATE)
    devices.configure_torch(cpu_count(), "ieee")
    bag = load_bag(weights.find(describe(model.name, model.ours, "Random."), model.ours), gpu)
    for batch in BATCHES:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        took = _seconds(lambda: _run(bag, samples, batch=batch))  # noqa: B023 - called at once
        name = f"gpu: ieee, {batch} at once"
        yield note(f"{name}, seconds of song", SECONDS / took, "per s", COMMAND)
        yield note(f"{name}, memory", torch.cuda.max_memory_reserved() / 1e6, "MB", COMMAND)
    theirs = get_model(model.name, model.theirs)
    heard = torch.from_numpy(np.ascontiguousarray(samples.T))[None]
    for precision in ("ieee", "tf32"):
        devices.configure_torch(cpu_count(), precision)
        took = _seconds(lambda: apply_model(theirs, heard, device="cuda", shifts=0))
        yield note(f"gpu: demucs, {precision}", SECONDS / took, "per s", COMMAND)
    for precision in _LOWERED:
        devices.configure_torch(cpu_count(), precision)
        took = _seconds(lambda: _run(bag, samples, precision=precision))  # noqa: B023
        yield note(f"gpu: {precision}, seconds of song", SECONDS / took, "per s", COMMAND)


def _run(bag: Bag, samples: Any, **options: Any) -> None:
    blocks = stream.separate(
        bag,
        InMemory(samples),
        normalisation([samples]),
        Options(**options),
        stems=range(len(bag.stems)),
    )
    for _ in blocks:
        pass


def _seconds(work: Callable[[], object]) -> float:
    """Return what the second of two runs takes."""
    work()
    torch.cuda.synchronize()
    began = time.perf_counter()
    work()
    torch.cuda.synchronize()
    return time.perf_counter() - began


def _precisions() -> Iterator[Figure]:
    """Measure what a lower precision adds to each stem of a song that the demo model separates."""
    gpu = devices.open_device("cuda")
    devices.configure_torch(cpu_count(), "ieee")
    bag = load_bag(weights.find(load_registry()["demo"], None), gpu)
    stems = render_song(2026, PIECE_SECONDS, "heldout")
    samples = sum(stems.values(), start=0 * stems["drums"]).T
    whole = separated(bag, samples)
    for precision in _LOWERED:
        devices.configure_torch(cpu_count(), precision)
        apart = separated(bag, samples, precision=precision) - whole
        largest = np.abs(apart).max(axis=(1, 2)) / np.abs(whole).max(axis=(1, 2))
        below = [
            10 * math.log10(np.square(stem).sum() / np.square(error).sum())
            for stem, error in zip(whole, apart, strict=True)
        ]
        name = f"gpu: {precision} against ieee"
        yield note(f"{name}, largest error of a peak", 100 * largest.max(), "%", COMMAND)
        yield note(f"{name}, least below a stem", min(below), "dB", COMMAND)
        yield note(f"{name}, most below a stem", max(below), "dB", COMMAND)
    devices.configure_torch(cpu_count(), "ieee")
