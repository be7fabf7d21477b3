"""Batches on a device with too little memory: a model that raises above a number of segments."""

import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
import torch

from bench.reference import Model, assert_same, demucs, separated, song
from splitjob_worker.engine.bag import Bag
from splitjob_worker.engine.batching import MAX_BATCH, Batcher


@dataclass
class Small:
    """A device that has room for so many segments, at ten bytes each."""

    room: int
    told: int | None = None
    sizes: list[int] = field(default_factory=list)
    cleared: int = 0

    def forward(self, batch: Sequence[int]) -> list[int]:
        if len(batch) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        self.sizes.append(len(batch))
        return [-item for item in batch]

    def start_measuring(self) -> None:
        pass

    def peak(self) -> int:
        return 10 * self.sizes[-1]

    def free(self) -> int:
        return 10 * (self.room if self.told is None else self.told)

    def release_cache(self) -> None:
        self.cleared += 1


def run(batcher: Batcher, small: Small, count: int) -> None:
    """Run so many segments as the engine does: as many at once as the batcher says."""
    done: list[int] = []
    while len(done) < count:
        items = range(len(done), min(len(done) + batcher.size, count))
        for part, result in batcher.run(small.forward, list(items)):
            assert result == [-item for item in part]
            done.extend(part)
    assert done == list(range(count))


def test_the_batch_follows_from_the_free_memory() -> None:
    small = Small(room=10)
    run(Batcher(small), small, 25)
    assert small.sizes == [1, 8, 8, 8]


def test_a_large_device_gets_no_more_than_keeps_it_busy() -> None:
    small = Small(room=1000)
    run(Batcher(small), small, 40)
    assert small.sizes == [1, MAX_BATCH, MAX_BATCH, 40 - 2 * MAX_BATCH - 1]


def test_a_batch_that_does_not_fit_is_halved_until_it_does() -> None:
    small = Small(room=3, told=20)  # somebody else took the memory meanwhile
    run(Batcher(small), small, 18)
    assert small.sizes == [1, *[2] * 8, 1]
    assert small.cleared == 3


def test_one_segment_that_does_not_fit_is_an_error() -> None:
    small = Small(room=0)
    with pytest.raises(torch.OutOfMemoryError):
        run(Batcher(small, 8), small, 9)
    assert small.cleared == 3


def test_other_errors_are_not_tried_again() -> None:
    tried = []

    def forward(batch: Sequence[int]) -> None:
        tried.append(len(batch))
        raise RuntimeError("CUDA error: device-side assert triggered")

    with pytest.raises(RuntimeError, match="assert"):
        list(Batcher(None, 4).run(forward, [1, 2, 3, 4]))
    assert tried == [4]


def test_a_failed_pass_leaves_nothing_in_memory() -> None:
    kept: list[weakref.ref[torch.Tensor]] = []

    def forward(batch: Sequence[int]) -> int:
        assert not kept or kept[-1]() is None
        tensor = torch.zeros(len(batch))
        kept.append(weakref.ref(tensor))
        if len(batch) > 1:
            raise torch.OutOfMemoryError
        return int(tensor.sum())

    assert len(list(Batcher(None, 4).run(forward, [1, 2, 3, 4]))) == 4


def test_numbers_stay_the_same_when_memory_runs_out(
    models: dict[str, Model], bags: dict[str, Bag], monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = song(30000)
    theirs = demucs(models["htdemucs"].reference, samples)
    model = bags["htdemucs"].members[0].model
    forward, sizes = model.forward, []

    def small(heard: torch.Tensor) -> torch.Tensor:
        if len(heard) > 2:
            raise torch.OutOfMemoryError
        sizes.append(len(heard))
        result: torch.Tensor = forward(heard)
        return result

    monkeypatch.setattr(model, "forward", small)
    assert_same(separated(bags["htdemucs"], samples, batch=7), theirs)
    assert max(sizes) <= 2


@pytest.mark.parametrize(
    "words",
    [
        "CUDA out of memory. Tried to allocate 2.00 GiB",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "cuFFT error: CUFFT_ALLOC_FAILED",
    ],
)
def test_the_libraries_own_words_for_too_little_memory(words: str) -> None:
    sizes: list[int] = []

    def forward(batch: Sequence[int]) -> int:
        sizes.append(len(batch))
        if len(batch) > 2:
            raise RuntimeError(words)
        return sum(batch)

    results = [result for _, result in Batcher(None, 4).run(forward, [1, 2, 3, 4])]
    assert results == [3, 7]
    assert sizes == [4, 2, 2]
