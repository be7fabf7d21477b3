"""Answers that are remembered for a while, and no more of them than there is room for."""

import pytest

from splitjob_api.expiring_cache import ExpiringCache


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_an_answer_is_asked_for_again_once_it_is_old() -> None:
    clock = Clock()
    cache: ExpiringCache[str, int] = ExpiringCache(5, 10, clock)
    answers = iter([1, 2])
    assert [cache.get("a", lambda: next(answers)) for _ in range(2)] == [1, 1]
    clock.now = 5
    assert cache.get("a", lambda: next(answers)) == 2


def test_the_oldest_answers_make_room() -> None:
    cache: ExpiringCache[int, int] = ExpiringCache(5, 3)
    for number in range(100):
        cache.get(number, lambda number=number: number)  # type: ignore[misc]
    assert len(cache) == 3
    assert cache.get(99, lambda: -1) == 99
    assert cache.get(0, lambda: -1) == -1


def test_a_question_that_fails_leaves_nothing() -> None:
    cache: ExpiringCache[str, int] = ExpiringCache(5, 3)

    def fail() -> int:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        cache.get("a", fail)
    assert len(cache) == 0
    assert cache.get("a", lambda: 1) == 1
