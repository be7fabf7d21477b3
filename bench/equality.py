"""The engine's numbers against Demucs': long songs, and many short ones with options at random."""

import math
import random
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.figures import Figure, at_most
from bench.reference import (
    CPU,
    KINDS,
    RATE,
    TOLERANCE,
    Model,
    demucs,
    distance,
    separated,
    small_models,
    song,
)
from splitjob_worker.engine.bag import Bag, load_bag

COMMAND = "make bench ONLY=equality"
MINUTES = 10
EXAMPLES = 300
_LONG = ("htdemucs", "hdemucs", "demucs", "uneven")  # the three classes, and a bag
# The shortest songs leave an `any_length` nothing to calculate with; it fails in Demucs as well.
_SHORT = [kind for kind in KINDS if kind != "any_length"]
_OVERLAPS = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9)


def measure() -> list[Figure]:
    """Return the figures; takes about ten minutes on two cores."""
    with tempfile.TemporaryDirectory(prefix="bench-equality-") as name:
        models = small_models(Path(name))
        bags = {kind: load_bag(model.found, CPU) for kind, model in models.items()}
        return [
            *(_figure(f"{kind}, {MINUTES} min", _long(models, bags, kind)) for kind in _LONG),
            _figure(f"the worst of {EXAMPLES} songs", _worst(models, bags)),
        ]


def _figure(name: str, apart: float) -> Figure:
    level = 20 * math.log10(max(apart, 1e-12))
    return at_most(f"equality: {name}", level, "dB", 20 * math.log10(TOLERANCE), COMMAND)


def _long(models: Mapping[str, Model], bags: Mapping[str, Bag], kind: str) -> float:
    samples = song(MINUTES * 60 * RATE + 1)
    apart = distance(separated(bags[kind], samples), demucs(models[kind].reference, samples))
    print(f"    {kind}, {MINUTES} min: {apart:.2e}", flush=True)
    return apart


def _worst(models: Mapping[str, Model], bags: Mapping[str, Bag]) -> float:
    drawn = random.Random(0)
    return max(_short(models, bags, drawn) for _ in range(EXAMPLES))


def _short(models: Mapping[str, Model], bags: Mapping[str, Bag], drawn: random.Random) -> float:
    """Return how far apart one song comes out, whose kind, length and options are drawn."""
    kind = drawn.choice(_SHORT)
    samples = song(round(math.exp(drawn.uniform(math.log(2), math.log(40_000)))))
    options: dict[str, Any] = {
        "overlap": drawn.choice(_OVERLAPS),
        "shifts": drawn.randint(0, 3),
        "seed": drawn.getrandbits(48),
    }
    ours = separated(bags[kind], samples, batch=drawn.randint(1, 5), **options)
    apart = distance(ours, demucs(models[kind].reference, samples, **options))
    if apart > TOLERANCE:
        print(f"    {kind}, {len(samples)} samples, {options}: {apart:.2e}", flush=True)
    return apart
