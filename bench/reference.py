"""Demucs itself, to compare the engine with, on small models of each class."""

import json
import random
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from demucs.api import Separator as DemucsSeparator
from demucs.apply import BagOfModels
from demucs.demucs import Demucs
from demucs.hdemucs import HDemucs
from demucs.hf import load_safetensors_model
from demucs.htdemucs import HTDemucs
from safetensors.torch import save_file

from bench.normalising import normalisation
from splitjob_worker.engine import device, stream, weights
from splitjob_worker.engine.bag import Bag
from splitjob_worker.engine.describe import describe
from splitjob_worker.engine.options import Options
from splitjob_worker.spool import Samples

STEMS = ["drums", "bass", "other", "vocals"]
RATE = 8000
CPU = torch.device("cpu")
CLASSES = {"HTDemucs": HTDemucs, "HDemucs": HDemucs, "Demucs": Demucs}
ARGUMENTS: dict[str, dict[str, Any]] = {
    "HTDemucs": {
        "channels": 8,
        "nfft": 1024,
        "t_layers": 2,
        "t_heads": 4,
        "bottom_channels": 32,
        "segment": Fraction(13, 25),
    },
    "HDemucs": {"channels": 8, "segment": 0.5, "dconv_mode": 3},
    "Demucs": {"channels": 8, "depth": 4, "segment": 0.5, "dconv_attn": 3, "dconv_lstm": 3},
}


KINDS = [
    "htdemucs",
    "hdemucs",
    "demucs",
    "fine_tuned",
    "uneven",
    "even",
    "shorter",
    "drawing",
    "any_length",
    "cape",
    "scaled",
]


@dataclass(frozen=True)
class Model:
    """A model's weights, and Demucs' own bag of them."""

    found: weights.Weights
    reference: BagOfModels


def small_models(folder: Path) -> dict[str, Model]:
    """Every way in which Demucs' published models differ, and some in which they could."""
    device.configure_torch(2, "ieee")
    one_hot = [[float(row == column) for column in range(4)] for row in range(4)]
    uneven = [[1.0, 0.0, 0.5, 2.0], [1.0, 3.0, 0.25, 0.0]]
    return {
        "htdemucs": write(folder, "htdemucs", "HTDemucs"),
        "hdemucs": write(folder, "hdemucs", "HDemucs"),
        "demucs": write(folder, "demucs", "Demucs"),
        "fine_tuned": write(folder, "fine_tuned", "HTDemucs", 4, bag={"weights": one_hot}),
        "uneven": write(folder, "uneven", "HDemucs", 2, bag={"weights": uneven, "segment": 0.7}),
        "even": write(folder, "even", "Demucs", 2, bag={"segment": 0.3}),
        "shorter": write(folder, "shorter", "HTDemucs", 2, bag={"segment": 0.33}),
        "drawing": write(folder, "drawing", "HTDemucs", 2, t_sin_random_shift=50),
        "any_length": write(
            folder, "any_length", "HTDemucs", use_train_segment=False, segment=Fraction(16, 25)
        ),
        "cape": write(folder, "cape", "HTDemucs", t_emb="cape", t_cross_first=True),
        "scaled": write(folder, "scaled", "HTDemucs", t_emb="scaled", bottom_channels=0),
    }


def write(
    folder: Path, name: str, architecture: str, count: int = 1, *, bag: Any = None, **options: Any
) -> Model:
    """Write a bag of models with random weights in Demucs' layout; load it with Demucs."""
    arguments = {"sources": STEMS, "samplerate": RATE, **ARGUMENTS[architecture], **options}
    signatures = [f"{name}{number}" for number in range(count)]
    for number, signature in enumerate(signatures):
        torch.manual_seed(number)
        _save(folder / f"{signature}.safetensors", architecture, arguments)
    layout = {"models": signatures, **(bag or {})}
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(layout))
    models = [load_safetensors_model(folder / f"{one}.safetensors") for one in signatures]
    reference = BagOfModels(models, layout.get("weights"), layout.get("segment")).eval()
    return Model(weights.find(describe(name, folder, "Random numbers."), folder), reference)


def _save(path: Path, architecture: str, arguments: dict[str, Any]) -> None:
    model = CLASSES[architecture](**arguments)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(".scale"):  # else the inner branches count for almost nothing
                parameter.fill_(0.5)
            elif "norm" in name:
                parameter.add_(0.1 * torch.randn_like(parameter))
    segment = arguments["segment"]
    if isinstance(segment, Fraction):
        numbers = {"numerator": segment.numerator, "denominator": segment.denominator}
        segment = {"_type": "fraction", **numbers}
    save_file(
        {name: tensor.half() for name, tensor in model.state_dict().items()},
        path,
        {
            "klass": f"demucs.{architecture.lower()}.{architecture}",
            "args": "[]",
            "kwargs": json.dumps({**arguments, "segment": segment}),
        },
    )


@dataclass(frozen=True)
class InMemory:
    """A song that is an array."""

    samples: Samples

    @property
    def frames(self) -> int:
        return len(self.samples)

    def read(self, start: int, stop: int) -> Samples:
        return self.samples[start:stop]


def song(frames: int, seed: int = 0) -> Samples:
    """Noise with an offset, so that mean and deviation count."""
    noise = np.random.default_rng(seed).standard_normal((frames, 2))
    return (0.3 * noise + 0.05).astype(np.float32)


def separated(
    bag: Bag,
    samples: Samples,
    stems: list[int] | None = None,
    **options: Any,
) -> Samples:
    """What the engine gives, shape (stems, 2, frames); its blocks follow one another."""
    stems = list(range(len(bag.stems))) if stems is None else stems
    halves = normalisation([samples[: len(samples) // 2], samples[len(samples) // 2 :]])
    blocks = stream.separate(bag, InMemory(samples), halves, Options(**options), stems=stems)
    result: list[Samples] = []
    for block in blocks:
        assert block.start == sum(one.shape[-1] for one in result)
        result.append(block.stems)
    return np.concatenate(result, axis=-1)


def demucs(
    bag: BagOfModels,
    samples: Samples,
    *,
    seed: int = 0,
    shifts: int = 0,
    overlap: float = 0.25,
    segment: Any = None,
) -> Samples:
    """What `demucs.api.Separator.separate_tensor` gives."""
    separator = object.__new__(DemucsSeparator)
    separator._model, separator._samplerate, separator._audio_channels = bag, RATE, 2
    separator.update_parameter(
        device="cpu",
        shifts=shifts,
        overlap=overlap,
        split=True,
        segment=segment,
        jobs=0,
        progress=False,
        callback=None,
        callback_arg=None,
    )
    random.seed(seed)
    _, stems = separator.separate_tensor(torch.from_numpy(np.ascontiguousarray(samples.T)))
    return np.stack([stem.numpy() for stem in stems.values()])


TOLERANCE = 1e-4
"""Of the peak, also where that is below 1."""


def distance(ours: Samples, theirs: Samples) -> float:
    """How far apart two results are at most, as a share of the peak."""
    assert ours.shape == theirs.shape
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


def assert_same(ours: Samples, theirs: Samples) -> None:
    assert distance(ours, theirs) <= TOLERANCE
