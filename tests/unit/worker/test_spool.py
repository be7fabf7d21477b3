"""Samples on disk: they come back as they were written, in blocks of one size."""

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st
from tests.support.examples import examples

from splitjob_worker.spool import BLOCK_FRAMES, Blocks, Samples, SpoolWriter


def test_a_spool_gives_back_what_was_written(tmp_path: Path) -> None:
    samples = np.arange(2000, dtype=np.float32).reshape(-1, 2)
    with SpoolWriter(tmp_path / "x") as writer:
        writer.append(samples[:300])
        writer.append(samples[300:])
        spool = writer.close()
    with spool.reader() as reader:
        assert np.array_equal(reader.read(0, spool.frames), samples)
        assert np.array_equal(reader.read(299, 302), samples[299:302])
    assert np.array_equal(np.concatenate(list(spool.blocks(37))), samples)


@given(st.lists(st.integers(0, 2 * BLOCK_FRAMES), max_size=5))
@settings_of_hypothesis(max_examples=examples(20), deadline=None)
def test_blocks_do_not_depend_on_the_pieces(pieces: list[int]) -> None:
    samples = np.arange(2 * sum(pieces), dtype=np.float32).reshape(-1, 2)
    found: list[Samples] = []
    blocks = Blocks(lambda block: found.append(block.copy()))
    for piece in np.split(samples, np.cumsum(pieces)[:-1]) if pieces else []:
        blocks.add(piece)
    assert blocks.taken == len(samples)
    blocks.finish()
    blocks.finish()
    assert all(len(block) == BLOCK_FRAMES for block in found[:-1])
    assert np.array_equal(np.concatenate([np.empty((0, 2)), *found]), samples)
