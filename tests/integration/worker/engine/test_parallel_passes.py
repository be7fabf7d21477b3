"""Forward passes side by side: which models, on which threads, and what happens when one fails."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from tests.support.waiting import patience

from bench.reference import Model, assert_same, demucs, separated, song
from splitjob_worker.engine.bag import Bag
from splitjob_worker.engine.parallel_passes import ParallelPasses, pass_count


@pytest.fixture(autouse=True)
def four_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("device", "threads", "segment", "count"),
    [
        ("cpu", 4, 7.8, 2),
        ("cpu", 2, 10.0, 2),
        ("cpu", 1, 7.8, 1),
        ("cpu", 3, 7.8, 1),
        ("cpu", 4, 44.0, 1),
        ("cuda", 4, 7.8, 1),
    ],
)
def test_two_where_cores_and_memory_allow(
    device: str, threads: int, segment: float, count: int
) -> None:
    torch.set_num_threads(threads)
    assert pass_count(torch.device(device), segment) == count


def test_threads_are_shared_out_and_given_back() -> None:
    met = threading.Barrier(2, timeout=patience(10))

    def work(item: int) -> tuple[int, int]:
        met.wait()  # both are under way, or this fails
        return item, torch.get_num_threads()

    with ParallelPasses(2) as parallel_passes:
        assert parallel_passes.run(work, [7, 8]) == [(7, 2), (8, 2)]
        assert torch.get_num_threads() == 4
    with ThreadPoolExecutor(1) as others:
        assert others.submit(torch.get_num_threads).result() == 4


def test_what_fails_is_told_when_the_other_is_done() -> None:
    """Its memory is free by then: a smaller batch may be tried."""
    done = []

    def work(item: int) -> None:
        if item == 0:
            raise torch.OutOfMemoryError
        time.sleep(0.2)
        done.append(item)

    with ParallelPasses(2) as parallel_passes, pytest.raises(torch.OutOfMemoryError):
        parallel_passes.run(work, [0, 1])
    assert done == [1]


def test_being_told_to_stop_is_not_held_up_by_what_is_under_way() -> None:
    class Cancelled(BaseException):
        pass

    def stop() -> None:
        raise Cancelled

    ended = threading.Event()
    began = time.monotonic()
    with pytest.raises(Cancelled), ParallelPasses(2, stop) as parallel_passes:
        parallel_passes.run(lambda _: ended.wait(patience(60)), [0, 1])
    assert time.monotonic() - began < patience(30)
    ended.set()


def test_no_thread_is_left(bags: dict[str, Bag]) -> None:
    before = set(threading.enumerate())
    separated(bags["htdemucs"], song(20000))
    assert set(threading.enumerate()) <= before


def test_two_run_at_once_and_the_last_one_alone_on_all_threads(
    models: dict[str, Model], bags: dict[str, Bag], monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = song(15000)  # five segments
    theirs = demucs(models["drawing"].reference, samples, seed=3)
    passes: list[tuple[int, int]] = []
    for member in bags["drawing"].members:
        forward = member.model.forward

        def noted(heard: torch.Tensor, forward: object = forward) -> torch.Tensor:
            passes.append((len(heard), torch.get_num_threads()))
            result: torch.Tensor = forward(heard)  # type: ignore[operator]
            return result

        monkeypatch.setattr(member.model, "forward", noted)
    assert_same(separated(bags["drawing"], samples, seed=3), theirs)
    assert passes.count((1, 2)) == 8
    assert passes.count((1, 4)) == 2


def test_a_machine_with_memory_for_one_gives_the_same(
    models: dict[str, Model], bags: dict[str, Bag], monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = song(15000)
    theirs = demucs(models["htdemucs"].reference, samples)
    model = bags["htdemucs"].members[0].model
    forward, memory = model.forward, threading.Semaphore(1)

    def tight(heard: torch.Tensor) -> torch.Tensor:
        if not memory.acquire(blocking=False):
            raise MemoryError
        try:
            time.sleep(0.05)
            result: torch.Tensor = forward(heard)
            return result
        finally:
            memory.release()

    monkeypatch.setattr(model, "forward", tight)
    assert_same(separated(bags["htdemucs"], samples), theirs)
