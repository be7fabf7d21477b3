"""The drum part: rhythms and strokes."""

from collections.abc import Mapping, Sequence

import numpy as np

from splitjob_synth.drums import Drum
from splitjob_synth.plan import Plan
from splitjob_synth.signal import Signal, add_at, choose


def _unit(sound: Signal) -> Signal:
    return sound / max(float(np.abs(sound).max()), 1e-6)


def _pattern(rng: np.random.Generator, steps: int, anchors: Sequence[int], odds: float) -> Signal:
    """A velocity for each sixteenth: the anchors always sound, others by chance."""
    hits = (rng.random(steps) < odds) * rng.uniform(0.2, 0.7, steps)
    hits[[a for a in anchors if a < steps]] = 1.0
    return hits.astype(np.float32)


def _groove(rng: np.random.Generator, steps: int) -> dict[str, Signal]:
    """One bar: a velocity per sixteenth for every part of the kit."""
    four = rng.random() < 0.35
    every = int(rng.choice([1, 2, 2, 4]))
    hat = np.zeros(steps, dtype=np.float32)
    hat[::every] = rng.uniform(0.5, 1.0, len(hat[::every]))
    return {
        "kick": _pattern(rng, steps, (0, 4, 8, 12) if four else (0, 8), 0.12),
        "snare": _pattern(rng, steps, (4, 12), 0.04),
        "hat": hat + _pattern(rng, steps, (), 0.08),
        "extra": _pattern(rng, steps, (), rng.uniform(0.0, 0.2)),
    }


_LEVELS = {"kick": 1.0, "snare": 0.8, "hat": 0.35, "extra": 0.4}


def play_drums(plan: Plan, kit: Mapping[str, Sequence[Drum]], rng: np.random.Generator) -> Signal:
    """The drum part of a song, before effects.

    Args:
        plan: the song.
        kit: the recipes to choose from for "kick", "snare", "hat", "extra" and "crash".
        rng: where every choice comes from.

    Returns:
        A stereo signal as long as the song.
    """
    sounds = {part: _one_shots(recipes, rng) for part, recipes in kit.items()}
    steps = plan.beats_per_bar * 4
    verse, chorus = _groove(rng, steps), _groove(rng, steps)
    levels = {part: level * rng.uniform(0.6, 1.3) for part, level in _LEVELS.items()}
    track = np.zeros((2, plan.samples), dtype=np.float32)
    for bar in range(plan.bars):
        if not plan.plays("drums", bar):
            continue
        groove = chorus if (bar // 4) % 2 else verse
        fill = bar % 4 == 3 and rng.random() < 0.5
        for part, hits in groove.items():
            for step in np.flatnonzero(hits):
                strike = "snare" if fill and step >= steps - 4 and part == "extra" else part
                shot = choose(rng, sounds[strike])
                gain = levels[part] * hits[step] * rng.uniform(0.8, 1.0)
                start = plan.step(bar, int(step))
                add_at(track, start, shot, float(gain))
        if bar % 4 == 0 and rng.random() < 0.5:
            add_at(track, plan.step(bar, 0), sounds["crash"][0], 0.4)
    return track


def _one_shots(recipes: Sequence[Drum], rng: np.random.Generator) -> list[Signal]:
    """Three strikes of one drum: as drawn, a little softer, from the other side."""
    recipe = choose(rng, recipes)
    sound = _unit(recipe(np.random.default_rng(rng.integers(2**31))))
    return [sound, sound * np.float32(0.95), sound[::-1]]
