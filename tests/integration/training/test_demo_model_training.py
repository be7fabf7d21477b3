"""Training examples, the learning rate, checkpoints and the export of the demo model."""

from pathlib import Path

import numpy as np
import pytest
import torch

from splitjob_synth import STEMS
from training.checkpoint import load_checkpoint, save_checkpoint
from training.dataset import Mixer, render_to_cache, song_path
from training.export import TrainingCost, export_model, load_cost, load_exported
from training.model import SEGMENT, build_model
from training.train import learning_rate, update_average


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("songs")
    for seed in range(2):
        render_to_cache(folder, seed)
    return folder


def test_songs_are_rendered_once(songs: Path) -> None:
    written = song_path(songs, 0).stat().st_mtime_ns
    render_to_cache(songs, 0)
    assert song_path(songs, 0).stat().st_mtime_ns == written
    assert not list(songs.glob("*.part"))


def test_examples_are_normalised_by_their_mixture(songs: Path) -> None:
    batch = next(Mixer(songs, 2, 44_100, seed=1).batches(8))
    assert batch.shape == (8, len(STEMS), 2, 44_100)
    assert batch.dtype == np.float32
    for example in batch:
        assert example.sum(axis=0).mean(axis=0).std() == pytest.approx(1.0, rel=1e-3)


def test_some_stems_are_absent_and_the_same_seed_draws_the_same(songs: Path) -> None:
    batch = next(Mixer(songs, 2, 4_410, seed=3).batches(40))
    again = next(Mixer(songs, 2, 4_410, seed=3).batches(40))
    assert np.array_equal(batch, again)
    absent = np.mean(~batch.any(axis=(2, 3)))
    assert 0.08 < absent < 0.5


def test_the_learning_rate_warms_up_and_ends_at_zero() -> None:
    assert learning_rate(1e-3, 0, 0.0) == pytest.approx(1e-5)
    assert learning_rate(1e-3, 500, 0.0) == pytest.approx(1e-3)
    assert learning_rate(1e-3, 500, 0.7) == pytest.approx(1e-3)
    assert learning_rate(1e-3, 500, 0.85) == pytest.approx(5e-4)
    assert learning_rate(1e-3, 500, 1.0) == pytest.approx(0.0)
    assert learning_rate(1e-3, 500, 1.2) == pytest.approx(0.0)


def test_the_average_follows_the_weights() -> None:
    layer = torch.nn.Linear(3, 3)
    average = {name: torch.zeros_like(value) for name, value in layer.state_dict().items()}
    for step in range(50):
        update_average(average, layer, step)
    for name, value in layer.state_dict().items():
        assert torch.allclose(average[name], value, atol=1e-3)


def test_checkpoints_come_back_whole(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path) is None
    save_checkpoint(tmp_path, {"step": 3, "model": {"weight": torch.ones(2)}})
    state = load_checkpoint(tmp_path)
    assert state is not None
    assert state["step"] == 3
    assert torch.equal(state["model"]["weight"], torch.ones(2))
    assert not list(tmp_path.glob("*.part"))


def test_what_is_exported_loads_through_demucs_and_gives_the_same(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = build_model().eval()
    export_model(model.state_dict(), TrainingCost(7, 60.0), tmp_path)
    assert load_cost(tmp_path) == TrainingCost(7, 60.0)
    loaded = load_exported(tmp_path)
    assert loaded.sources == list(STEMS)
    assert loaded.segment == SEGMENT
    mixture = torch.randn(1, 2, 2 * 44_100)
    with torch.no_grad():
        expected, found = model(mixture), loaded(mixture)
    assert torch.allclose(expected, found, atol=0.02 * float(expected.abs().max()))
