"""The ring against adding into the whole song."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.examples import examples

from splitjob_worker.engine.overlap_add import OverlapAdd

CPU = torch.device("cpu")


@given(
    frames=st.integers(1, 120),
    starts=st.lists(st.integers(-15, 119), min_size=1, max_size=20).map(sorted),
    lengths=st.lists(st.integers(1, 40), min_size=20, max_size=20),
    seed=st.integers(0, 1000),
)
@settings(deadline=None, max_examples=examples(60))
def test_the_ring_gives_the_same_sums(
    frames: int, starts: list[int], lengths: list[int], seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    expected = torch.zeros(2, 1, frames + 200)
    ring = OverlapAdd(2, 1, frames, CPU)
    pieces = []
    for start, length in zip(starts, lengths, strict=False):
        pieces.append(ring.release(start))
        samples = torch.rand(2, 1, length, generator=generator)
        window = torch.rand(50, generator=generator)
        ring.add(start, samples, window, {0: (1, 0.5), 1: (0, 2.0)})
        skipped = max(-start, 0)
        place = slice(start + skipped, start + max(length, skipped))
        expected[:, :, place] += (
            torch.tensor([2.0, 0.5])[:, None, None]
            * samples.flip(0)[..., skipped:]
            * window[skipped:length]
        )
    pieces.append(ring.release(frames))
    found = torch.cat(pieces, dim=-1)
    np.testing.assert_allclose(found.numpy(), expected[..., :frames].numpy(), rtol=1e-5)


def test_memory_does_not_grow_with_the_song() -> None:
    ring = OverlapAdd(1, 2, 10**9, CPU)
    window = torch.ones(100)
    for start in range(0, 10000, 75):
        ring.add(start, torch.ones(1, 2, 100), window, {0: (0, 1.0)})
        ring.release(start + 75)
        assert ring._ring.shape[-1] == 100
