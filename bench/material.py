"""What the engine is measured with: songs, and models of random numbers that both sides read."""

import importlib
import json
import shutil
import wave
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from splitjob.models import load_registry
from splitjob_synth import render_song
from splitjob_worker.engine import weights
from splitjob_worker.engine.describe import describe

RATE = 44_100
STEMS = ["drums", "bass", "other", "vocals"]
# The arguments of HTDemucs that Meta's `htdemucs` was trained with, where they are not the
# defaults; and a model small enough to hear half an hour in a minute.
HTDEMUCS: dict[str, Any] = {"dconv_mode": 3, "bottom_channels": 512, "segment": Fraction(39, 5)}
SMALL: dict[str, Any] = {
    "channels": 8,
    "t_layers": 1,
    "t_heads": 4,
    "segment": Fraction(39, 5),
}


@dataclass(frozen=True)
class Model:
    """The same weights for both sides.

    Attributes:
        name: for `-n`.
        ours: folder for our `--repo`.
        theirs: folder for the `--repo` of Demucs.
    """

    name: str
    ours: Path
    theirs: Path


def random_model(folder: Path, name: str, arguments: dict[str, Any], count: int = 1) -> Model:
    """Write an HTDemucs of random numbers, or a bag in which each of `count` gives one stem."""
    one_each = [[float(row == column) for column in range(4)] for row in range(count)]
    home = random_weights(
        folder / name,
        "demucs.htdemucs.HTDemucs",
        STEMS,
        arguments,
        count,
        {"weights": one_each} if count > 1 else {},
    )
    return _exported(name, home)


def random_weights(
    home: Path,
    klass: str,
    stems: Sequence[str],
    arguments: dict[str, Any],
    count: int,
    bag: Mapping[str, Any],
) -> Path:
    """Write random numbers as a model of Demucs, or as a bag of `count` such.

    Args:
        home: the folder to make; its name is the model's.
        klass: module and class, of Demucs.
        stems: of the model.
        arguments: of its constructor, beside the stems.
        count: of models.
        bag: what the bag says of them beside their names.

    Returns:
        The folder.
    """
    import torch  # noqa: PLC0415 - seconds, and only this process needs it
    from safetensors.torch import save_file  # noqa: PLC0415

    home.mkdir()
    module, _, of_model = klass.rpartition(".")
    build = getattr(importlib.import_module(module), of_model)
    segment = Fraction(arguments["segment"])
    numbers = {"numerator": segment.numerator, "denominator": segment.denominator}
    said = {**arguments, "sources": list(stems), "segment": {"_type": "fraction", **numbers}}
    signatures = [f"{home.name}{number}" for number in range(count)]
    for number, signature in enumerate(signatures):
        torch.manual_seed(number)
        state = build(list(stems), **arguments).state_dict()
        save_file(
            {key: tensor.half() for key, tensor in state.items()},
            home / f"{signature}.safetensors",
            {"klass": klass, "args": "[]", "kwargs": json.dumps(said)},
        )
    said_of_all = yaml.safe_dump({"models": signatures, **bag})
    (home / f"{home.name}.yaml").write_text(said_of_all, encoding="utf-8")
    return home


def demo_model(folder: Path) -> Model:
    """Copy the demo model to a folder of its own."""
    home = folder / "demo"
    shutil.copytree(weights.find(load_registry()["demo"], None).paths[0].parent, home)
    return _exported("demo", home)


def _exported(name: str, home: Path) -> Model:
    from splitjob_worker.engine.export import export_th  # noqa: PLC0415 - imports torch

    theirs = home / "th"
    export_th(weights.find(describe(name, home, "Random numbers."), home), theirs)
    return Model(name, home, theirs)


class Songs:
    """Songs of any length, of one synthesised piece over and over.

    Args:
        folder: where they are written.
        seconds: of the piece.
    """

    def __init__(self, folder: Path, seconds: float) -> None:
        self._folder = folder
        stems = render_song(2026, seconds, "heldout")
        mixture = sum(stems.values(), start=0 * stems["drums"])
        self._piece = (mixture.T * 32767).astype("<i2")

    def song(self, seconds: float) -> Path:
        """Return a wav file of 16 bits, as long as asked for."""
        path = self._folder / f"song{seconds:g}.wav"
        if not path.exists():
            frames = round(seconds * RATE)
            with wave.open(str(path), "wb") as file:
                file.setparams((2, 2, RATE, frames, "NONE", ""))
                for start in range(0, frames, len(self._piece)):
                    file.writeframesraw(self._piece[: frames - start].tobytes())
        return path


def steps_apart(one: Path, other: Path) -> int:
    """Return by how many of its 65,536 steps two files of 16 bits differ at most."""
    with wave.open(str(one)) as first, wave.open(str(other)) as second:
        worst = 0
        while data := first.readframes(RATE):
            ours = np.frombuffer(data, "<i2").astype(np.int32)
            theirs = np.frombuffer(second.readframes(RATE), "<i2").astype(np.int32)
            worst = max(worst, int(np.abs(ours - theirs).max()))
        return worst
