"""The synthesiser makes the same songs from the same seeds, and two families that share nothing."""

import time
from collections.abc import Sequence

import numpy as np
import pytest
from tests.support.waiting import patience

from splitjob_synth import SAMPLERATE, STEMS, Family, render_song
from splitjob_synth.palette import PALETTES

pytestmark = pytest.mark.slow

FAMILIES: tuple[Family, ...] = ("train", "heldout")


@pytest.mark.parametrize("family", FAMILIES)
def test_same_seed_same_song(family: Family) -> None:
    first, again = render_song(7, 4.0, family), render_song(7, 4.0, family)
    other = render_song(8, 4.0, family)
    for stem in STEMS:
        assert np.array_equal(first[stem], again[stem])
    assert any(not np.array_equal(first[stem], other[stem]) for stem in STEMS)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("seed", range(6))
def test_stems_are_finite_stereo_and_sum_below_full_scale(family: Family, seed: int) -> None:
    stems = render_song(seed, 6.0, family)
    assert tuple(stems) == STEMS
    for audio in stems.values():
        assert audio.dtype == np.float32
        assert audio.shape == (2, 6 * SAMPLERATE)
        assert np.isfinite(audio).all()
    mixture = np.sum(list(stems.values()), axis=0)
    assert 0.05 < np.abs(mixture).max() <= 1.0


@pytest.mark.parametrize("family", FAMILIES)
def test_every_stem_sounds_in_the_first_bars(family: Family) -> None:
    stems = render_song(3, 8.0, family)
    for stem, audio in stems.items():
        assert np.sqrt(np.mean(audio**2)) > 0.005, stem


def apart(some: Sequence[tuple[float, float]], others: Sequence[tuple[float, float]]) -> bool:
    return all(a[1] < b[0] or b[1] < a[0] for a in some for b in others)


def test_families_are_disjoint() -> None:
    train, heldout = PALETTES["train"], PALETTES["heldout"]
    assert not set(train.tonics) & set(heldout.tonics)
    assert apart(train.tempi, heldout.tempi)
    assert apart(train.tracts, heldout.tracts)
    assert train.open_quotients[1] < heldout.open_quotients[0]
    for part in train.kit:
        assert not set(train.kit[part]) & {drum for kit in heldout.kit.values() for drum in kit}
    instruments = [
        {*p.bass, *p.sustained, *p.struck, *p.lead, *p.space, *p.colour} for p in (train, heldout)
    ]
    assert not instruments[0] & instruments[1]
    rng = np.random.default_rng(0)
    sung = {vowel.formants for _ in range(100) for vowel in train.vowels(rng)}
    assert len(sung) > 100
    assert not sung & {vowel.formants for vowel in heldout.vowels(rng)}


@pytest.mark.parametrize("seconds", [0.0, -1.0])
def test_a_song_without_samples_is_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match="no samples"):
        render_song(0, seconds)


def test_an_unknown_family_is_refused() -> None:
    with pytest.raises(ValueError, match="train, heldout"):
        render_song(0, 1.0, "jazz")  # type: ignore[arg-type]


@pytest.mark.parametrize("seconds", [1 / SAMPLERATE, 0.01, 0.5])
def test_the_shortest_songs(seconds: float) -> None:
    stems = render_song(1, seconds)
    assert {audio.shape for audio in stems.values()} == {(2, round(seconds * SAMPLERATE))}


def test_thirty_seconds_take_a_few() -> None:
    begun = time.process_time()
    render_song(1, 30.0)
    assert time.process_time() - begun < patience(6.0)
