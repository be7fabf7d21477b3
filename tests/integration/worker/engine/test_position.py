"""A separation that was broken off goes on: the same samples behind it, to the last bit."""

from typing import Any

import numpy as np
import pytest

from bench.normalising import normalisation
from bench.reference import InMemory, song
from splitjob_worker.engine import stream
from splitjob_worker.engine.bag import Bag
from splitjob_worker.engine.options import Options
from splitjob_worker.engine.position import Position
from splitjob_worker.spool import Samples

SHIFTED = {"shifts": 2, "seed": 7}


def blocks_of(
    bag: Bag, samples: Samples, begin: Position | None = None, **options: Any
) -> tuple[list[stream.Block], list[float]]:
    """The blocks from a position on, and the shares that were done after each batch."""
    shares: list[float] = []
    blocks = stream.separate(
        bag,
        InMemory(samples),
        normalisation([samples]),
        Options(**options),
        stems=list(range(len(bag.stems))),
        begin=begin,
        on_progress=shares.append,
    )
    return list(blocks), shares


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("htdemucs", {}),
        ("htdemucs", {"overlap": 0.75, "batch": 3}),
        ("hdemucs", SHIFTED),  # its last segments are of their own lengths
        ("uneven", SHIFTED),
        ("shorter", {"batch": 1}),
        ("demucs", {}),
    ],
)
def test_from_any_position_on_the_rest_is_the_same(
    bags: dict[str, Bag], name: str, options: dict[str, Any]
) -> None:
    samples = song(14_001)
    whole, _ = blocks_of(bags[name], samples, **options)
    positions = [block.position for block in whole]
    assert len(positions) > 2
    assert all(positions)  # each of these blocks is one round's
    for position in positions[:: max(len(positions) // 3, 1)]:
        assert position is not None
        again, shares_again = blocks_of(bags[name], samples, position, **options)
        behind = [block for block in whole if block.start >= position.frame]
        assert [block.start for block in again] == [block.start for block in behind]
        assert [block.position for block in again] == [block.position for block in behind]
        for one, other in zip(again, behind, strict=True):
            assert np.array_equal(one.stems, other.stems)
        if again and position.frame > len(samples) / 2:
            assert shares_again[0] > 0.3  # not from the song's beginning


def test_at_the_end_nothing_is_left_to_run(bags: dict[str, Bag]) -> None:
    samples = song(9001)
    whole, _ = blocks_of(bags["htdemucs"], samples)
    assert whole[-1].position is not None
    assert whole[-1].position.frame == len(samples)
    assert blocks_of(bags["htdemucs"], samples, whole[-1].position) == ([], [])
