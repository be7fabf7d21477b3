"""The engine against Demucs itself: the same numbers, whatever the model, length and options."""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.examples import examples

from bench.reference import CPU, KINDS, Model, assert_same, demucs, separated, song
from splitjob_worker.engine.bag import Bag, load_bag


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_model(models: dict[str, Model], bags: dict[str, Bag], name: str) -> None:
    samples = song(9001)
    theirs = demucs(models[name].reference, samples, seed=7, shifts=2)
    assert_same(separated(bags[name], samples, seed=7, shifts=2, batch=3), theirs)


@pytest.mark.parametrize("name", ["htdemucs", "any_length", "hdemucs", "demucs", "fine_tuned"])
def test_segments_of_another_length(
    models: dict[str, Model], bags: dict[str, Bag], name: str
) -> None:
    """What `demucs --segment` does, which is not what a bag's own `segment` does."""
    samples = song(9001)
    theirs = demucs(models[name].reference, samples, segment=0.3, overlap=0.3)
    assert_same(separated(bags[name], samples, segment=0.3, overlap=0.3, batch=2), theirs)


@given(
    name=st.sampled_from(KINDS[:7]),
    frames=st.one_of(st.integers(2, 5000), st.integers(5000, 9000)),
    overlap=st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 0.9]),
    shifts=st.integers(0, 3),
    seed=st.integers(0, 2**48),
    batch=st.integers(1, 4),
)
@settings(
    max_examples=examples(8),
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_any_length_and_options(
    models: dict[str, Model],
    bags: dict[str, Bag],
    name: str,
    frames: int,
    overlap: float,
    shifts: int,
    seed: int,
    batch: int,
) -> None:
    samples = song(frames, seed)
    theirs = demucs(models[name].reference, samples, overlap=overlap, shifts=shifts, seed=seed)
    ours = separated(bags[name], samples, batch=batch, overlap=overlap, shifts=shifts, seed=seed)
    assert_same(ours, theirs)


@pytest.mark.parametrize("stems", [["vocals"], ["other", "drums"], ["bass", "vocals", "drums"]])
@pytest.mark.parametrize("name", ["fine_tuned", "uneven", "drawing"])
def test_a_subset_is_what_it_is_within_the_whole(
    models: dict[str, Model], name: str, stems: list[str]
) -> None:
    """Models that are not needed are not loaded, but their random draws count."""
    samples = song(5003)
    bag = load_bag(models[name].found, CPU, stems)
    rows = [bag.stems.index(stem) for stem in stems]
    theirs = demucs(models[name].reference, samples, seed=3, shifts=2)[rows]
    assert_same(separated(bag, samples, rows, seed=3, shifts=2), theirs)


def test_one_stem_of_four_models_loads_one(models: dict[str, Model]) -> None:
    bag = load_bag(models["fine_tuned"].found, CPU, ["other"])
    assert [member.model is not None for member in bag.members] == [False, False, True, False]


def test_thread_counts_give_the_same(models: dict[str, Model], bags: dict[str, Bag]) -> None:
    samples = song(6000)
    theirs = demucs(models["htdemucs"].reference, samples)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        assert_same(separated(bags["htdemucs"], samples), theirs)
    finally:
        torch.set_num_threads(before)


def test_a_song_of_one_sample_is_not_normalised(bags: dict[str, Bag]) -> None:
    for name in ("htdemucs", "hdemucs", "demucs"):
        assert np.isfinite(separated(bags[name], song(1))).all()


def test_silence_stays_finite(bags: dict[str, Bag]) -> None:
    """Acceptance 33."""
    found = separated(bags["htdemucs"], np.zeros((9000, 2), np.float32))
    assert np.abs(found).max() < 1e-5


def test_half_precision_is_near(models: dict[str, Model], bags: dict[str, Bag]) -> None:
    samples = song(9000)
    theirs = demucs(models["htdemucs"].reference, samples)
    found = separated(bags["htdemucs"], samples, precision="bf16")
    assert 0 < np.abs(found - theirs).max() < 0.05 * np.abs(theirs).max()
