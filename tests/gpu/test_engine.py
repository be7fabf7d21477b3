"""The engine on a GPU: Demucs' numbers, batches that fit, memory that stays flat."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch

from bench.reference import KINDS, Model, assert_same, demucs, separated, song
from splitjob.errors import ErrorCode
from splitjob_worker.engine import device as devices
from splitjob_worker.engine import transforms
from splitjob_worker.engine.bag import Bag
from splitjob_worker.engine.batching import MAX_BATCH
from splitjob_worker.engine.options import Precision

if not torch.cuda.is_available():
    pytest.skip("takes an NVIDIA GPU", allow_module_level=True)

LONG = 60_000  # samples, a good dozen segments


@contextmanager
def watched(model: torch.nn.Module) -> Iterator[list[tuple[int, bool]]]:
    """Keep of each forward pass how many segments it had, and whether memory sufficed."""
    passes: list[tuple[int, bool]] = []
    forward: Callable[[torch.Tensor], torch.Tensor] = model.forward

    def watching(heard: torch.Tensor) -> torch.Tensor:
        passes.append((len(heard), False))
        result = forward(heard)
        passes[-1] = (len(heard), True)
        return result

    model.forward = watching
    try:
        yield passes
    finally:
        model.forward = forward


@contextmanager
def memory(limit: int) -> Iterator[None]:
    """Let torch have so many bytes of the GPU, and no more."""
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(limit / torch.cuda.mem_get_info()[1])
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def reserved_for(gpu: torch.device, bag: Bag, batch: int) -> int:
    """Return the bytes that torch takes from the GPU for batches of a size."""
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(gpu)
    separated(bag, song(LONG), batch=batch)
    return torch.cuda.max_memory_reserved(gpu)


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_model_gives_what_demucs_gives_on_a_cpu(
    gpu: torch.device, models: dict[str, Model], bags: dict[str, Bag], name: str
) -> None:
    samples = song(9001)
    theirs = demucs(models[name].reference, samples, seed=7, shifts=2)
    assert_same(separated(bags[name], samples, seed=7, shifts=2, batch=3), theirs)


@pytest.mark.parametrize("rows", [8, 32, 128])
@pytest.mark.parametrize("size", [1024, 4096])
def test_the_inverse_transform_of_what_no_real_signal_has(
    gpu: torch.device, size: int, rows: int
) -> None:
    """cuFFT's own answer to it differs from a CPU's."""
    parts = torch.randn(rows, size // 2 + 1, 20, 2, generator=torch.Generator().manual_seed(0))
    there = torch.view_as_complex(parts.to(gpu))
    length = 19 * size // 4
    theirs = transforms.waveform(torch.view_as_complex(parts), size // 4, length)
    assert (transforms.waveform(there, size // 4, length).cpu() - theirs).abs().max() < 1e-5


@pytest.mark.parametrize("frames", [2, 1001, 4160, 8321, LONG + 1])
@pytest.mark.parametrize("name", ["htdemucs", "hdemucs", "demucs"])
def test_every_length_in_batches_that_the_free_memory_allows(
    gpu: torch.device, models: dict[str, Model], bags: dict[str, Bag], name: str, frames: int
) -> None:
    samples = song(frames)
    theirs = demucs(models[name].reference, samples)
    assert_same(separated(bags[name], samples), theirs)


def test_the_batch_follows_from_the_free_memory(gpu: torch.device, bags: dict[str, Bag]) -> None:
    with watched(bags["htdemucs"].members[0].model) as passes:
        separated(bags["htdemucs"], song(3 * LONG))
    assert passes[:2] == [(1, True), (MAX_BATCH, True)]
    assert all(fitted for _, fitted in passes)


def test_a_batch_that_does_not_fit_is_halved_until_it_does(
    gpu: torch.device, models: dict[str, Model], bags: dict[str, Bag]
) -> None:
    bag, samples = bags["htdemucs"], song(LONG)
    theirs = demucs(models["htdemucs"].reference, samples)
    limit = reserved_for(gpu, bag, 3)
    with memory(limit), watched(bag.members[0].model) as passes:
        assert_same(separated(bag, samples, batch=16), theirs)
    assert passes[0] == (16, False)
    assert max(size for size, fitted in passes if fitted) in {1, 2, 4, 8}


def test_one_segment_that_does_not_fit_is_gpu_oom(gpu: torch.device, bags: dict[str, Bag]) -> None:
    torch.cuda.empty_cache()
    with (
        memory(torch.cuda.memory_reserved(gpu)),
        pytest.raises((RuntimeError, MemoryError)) as caught,
    ):
        separated(bags["htdemucs"], song(LONG), batch=4)
    assert devices.failure(caught.value, gpu).code is ErrorCode.GPU_OOM
    separated(bags["htdemucs"], song(9001))  # and nothing is the worse for it


def test_memory_of_the_gpu_does_not_grow_with_the_song(
    gpu: torch.device, bags: dict[str, Bag]
) -> None:
    taken = []
    for frames in (LONG, 10 * LONG):
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(gpu)
        separated(bags["htdemucs"], song(frames), batch=4)
        taken.append(torch.cuda.max_memory_allocated(gpu))
    assert taken[1] <= 1.01 * taken[0]


@pytest.mark.parametrize("name", ["htdemucs", "hdemucs", "demucs"])
@pytest.mark.parametrize("precision", ["tf32", "fp16", "bf16"])
def test_precision_is_lowered_where_asked_for_and_stays_near(
    gpu: torch.device, bags: dict[str, Bag], name: str, precision: Precision
) -> None:
    samples = song(LONG)
    whole = separated(bags[name], samples)
    try:
        devices.configure_torch(2, precision)
        found = separated(bags[name], samples, precision=precision)
    finally:
        devices.configure_torch(2, "ieee")
    assert 0 < np.abs(found - whole).max() < 0.05 * np.abs(whole).max()
