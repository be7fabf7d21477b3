"""Samples come back from the bucket to the last bit, or not at all."""

import numpy as np
import pytest

from splitjob_worker.checkpoints.packing import DamagedError, pack, unpack
from splitjob_worker.spool import Samples

PIECES = 600_000  # samples: two whole pieces, and a part of one


def sound(count: int) -> Samples:
    return np.random.default_rng(1).standard_normal(count).astype(np.float32)


@pytest.mark.parametrize("count", [0, 1, PIECES])
def test_packed_and_unpacked_they_are_the_same(count: int) -> None:
    assert np.array_equal(unpack(pack(sound(count))), sound(count))


def test_also_those_that_are_no_sound() -> None:
    odd = np.array([0.0, -0.0, np.nan, np.inf, -np.inf, 1e-45], np.float32)
    assert unpack(pack(odd)).tobytes() == odd.tobytes()


def test_of_any_shape_and_order_in_memory() -> None:
    turned = sound(1000).reshape(4, 250).T
    assert np.array_equal(unpack(pack(turned)), turned.reshape(-1))


def test_sound_takes_a_seventh_less() -> None:
    assert len(pack(sound(PIECES))) < PIECES * 4 * 0.87


@pytest.mark.parametrize(
    "spoil",
    [
        lambda packed: packed[:-1],
        lambda packed: packed[: len(packed) // 2],
        lambda packed: packed + b"\0",
        lambda packed: b"\xff" + packed[1:],
        lambda packed: packed[:8] + b"\0" + packed[9:],
    ],
)
def test_what_is_damaged_is_refused(spoil: object) -> None:
    with pytest.raises(DamagedError):
        unpack(spoil(pack(sound(PIECES))))  # type: ignore[operator]
