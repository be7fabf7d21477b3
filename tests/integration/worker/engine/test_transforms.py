"""The models' Fourier transforms against Demucs' own."""

from typing import Any

import pytest
import torch
from demucs import spec

from bench.reference import CPU, Model
from splitjob_worker.engine import transforms
from splitjob_worker.engine.loading import build, read_blueprint

THEIRS: Any = spec  # it has no types
SHAPES = [(2, 9_000), (3, 2, 4_096), (1, 2, 5_555)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", [512, 1024])
def test_there_and_back_as_demucs_does(shape: tuple[int, ...], size: int) -> None:
    samples = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    ours = transforms.spectrum(samples, size, size // 4)
    assert torch.equal(ours, THEIRS.spectro(samples, size, size // 4))
    back = transforms.waveform(ours, size // 4, shape[-1])
    assert torch.equal(back, THEIRS.ispectro(ours, size // 4, length=shape[-1]))


def test_what_a_real_signal_cannot_have_is_ignored() -> None:
    """On a GPU it would come out as an error that depends on how many segments run at once."""
    parts = torch.randn(3, 2, 513, 9, 2, generator=torch.Generator().manual_seed(0))
    theirs = THEIRS.ispectro(torch.view_as_complex(parts.clone()), 256, length=2_000)
    assert torch.equal(transforms.waveform(torch.view_as_complex(parts), 256, 2_000), theirs)
    assert parts[..., (0, -1), :, 1].abs().max() == 0


@pytest.mark.parametrize("name", ["htdemucs", "hdemucs"])
def test_a_second_pass_makes_no_window(
    models: dict[str, Model], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Demucs' own makes one for each transform."""
    made: list[int] = []
    original = torch.hann_window

    def noted(size: int) -> torch.Tensor:
        made.append(size)
        return original(size)

    found = models[name].found
    blueprint = read_blueprint(found.paths[0], found.record.architecture, None)
    ours, theirs = build(blueprint, CPU), models[name].reference.models[0]
    heard = torch.randn(1, 2, blueprint.geometry.segment)
    with torch.inference_mode():
        expected = ours(heard)
        monkeypatch.setattr(torch, "hann_window", noted)
        assert torch.equal(ours(heard), expected)
        assert made == []
        theirs(heard)
        assert made
