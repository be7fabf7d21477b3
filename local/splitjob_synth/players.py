"""The pitched parts of a song: bass and other."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from splitjob_synth.palette import Palette
from splitjob_synth.plan import Plan
from splitjob_synth.signal import Signal, add_at, choose, midi_to_hertz
from splitjob_synth.timbres import Recipe, Timbre


@dataclass
class Player:
    """An instrument that remembers its notes: the same note sounds the same in one song."""

    timbre: Timbre
    rng: np.random.Generator
    notes: dict[tuple[int, int], Signal] = field(default_factory=dict)

    def play(
        self, track: Signal, plan: Plan, start: int, steps: float, note: int, gain: float
    ) -> None:
        """Add a note of so many sixteenths to the track."""
        n = max(int(steps * plan.sixteenth), 256)
        key = (note, n)
        if key not in self.notes:
            self.notes[key] = self.timbre.play(midi_to_hertz(note), n, self.rng)
        add_at(track, start, self.notes[key], gain)


def _player(recipes: Sequence[Recipe], rng: np.random.Generator) -> Player:
    return Player(choose(rng, recipes)(rng), rng)


def _empty(plan: Plan) -> Signal:
    return np.zeros((2, plan.samples), dtype=np.float32)


# ---- bass ---------------------------------------------------------------------------------------

_RIFFS: Sequence[Sequence[tuple[int, int, int]]] = (
    tuple((step, 2, 0) for step in range(0, 16, 2)),
    ((0, 4, 0), (6, 2, 0), (8, 4, 4), (14, 2, 7)),
    ((0, 8, 0), (8, 8, 0)),
    tuple((step, 2, 0) for step in (2, 6, 10, 14)),
    ((0, 4, 0), (4, 4, 2), (8, 4, 4), (12, 4, 5)),
    ((0, 3, 0), (3, 3, 0), (6, 2, 7), (8, 3, 0), (11, 3, 4), (14, 2, 0)),
    ((0, 14, 0),),
    tuple((step, 1, 7 * (step // 2 % 2)) for step in range(0, 16, 2)),
)
"""Sixteenth, length in sixteenths, degree above the root."""


def play_bass(plan: Plan, palette: Palette, rng: np.random.Generator) -> Signal:
    """The bass part of a song, before effects: one or two riffs on the chord roots."""
    player = _player(palette.bass, rng)
    riffs = [choose(rng, _RIFFS) for _ in range(2)]
    octave = 1 if plan.tonic > 3 else 2
    track = _empty(plan)
    for bar in range(plan.bars):
        if not plan.plays("bass", bar):
            continue
        for step, steps, degree in riffs[(bar // 4) % 2]:
            if step < plan.beats_per_bar * 4:
                note = plan.note(plan.root(bar) + degree, octave)
                note -= 12 if note > 50 else 0
                gain = rng.uniform(0.75, 1.0)
                player.play(track, plan, plan.step(bar, step), steps * 0.95, note, gain)
    return track


# ---- everything else ----------------------------------------------------------------------------

Layer = Callable[[Plan, Palette, np.random.Generator], Signal]


def _voicing(plan: Plan, bar: int, octave: int, size: int) -> list[int]:
    """A chord of the bar, folded into an octave and a half."""
    notes = [plan.note(plan.root(bar) + 2 * third, octave) for third in range(size)]
    low = 12 * (octave + 1) + 2
    return [low + (note - low) % 18 for note in notes]


def chords(plan: Plan, palette: Palette, rng: np.random.Generator) -> Signal:
    """Held chords, one a bar."""
    player, track = _player(palette.sustained, rng), _empty(plan)
    size, octave = int(rng.integers(3, 5)), int(rng.integers(3, 5))
    for bar in range(plan.bars):
        if plan.plays("other", bar):
            for note in _voicing(plan, bar, octave, size):
                player.play(track, plan, plan.step(bar, 0), plan.beats_per_bar * 4.2, note, 0.5)
    return track


def comping(plan: Plan, palette: Palette, rng: np.random.Generator) -> Signal:
    """Chords in a rhythm."""
    player, track = _player(palette.struck, rng), _empty(plan)
    size, octave = int(rng.integers(2, 5)), int(rng.integers(3, 5))
    rhythm = [step for step in range(0, plan.beats_per_bar * 4, 2) if rng.random() < 0.5] or [0]
    length = float(rng.choice([1.0, 2.0, 3.5]))
    for bar in range(plan.bars):
        if not plan.plays("other", bar):
            continue
        for step in rhythm:
            gain = 0.5 * rng.uniform(0.7, 1.0)
            for note in _voicing(plan, bar, octave, size):
                player.play(track, plan, plan.step(bar, step), length, note, gain)
    return track


def arpeggio(plan: Plan, palette: Palette, rng: np.random.Generator) -> Signal:
    """Broken chords in even notes."""
    player, track = _player(palette.struck, rng), _empty(plan)
    every, octave = int(rng.choice([1, 2, 2, 4])), int(rng.integers(3, 6))
    order = rng.permutation(4)
    for bar in range(plan.bars):
        if not plan.plays("other", bar):
            continue
        notes = sorted(_voicing(plan, bar, octave, 4))
        for count, step in enumerate(range(0, plan.beats_per_bar * 4, every)):
            note = notes[order[count % 4]]
            player.play(track, plan, plan.step(bar, step), every * 1.8, note, rng.uniform(0.6, 0.9))
    return track


def melody(plan: Plan, palette: Palette, rng: np.random.Generator) -> Signal:
    """A lead line that repeats every four bars and leaves gaps."""
    player, track = _player(palette.lead, rng), _empty(plan)
    octave = int(rng.integers(4, 6))
    phrase = []
    degree = int(rng.integers(0, 7))
    for bar in range(4):
        step = 0
        while step < plan.beats_per_bar * 4:
            length = int(rng.choice([1, 2, 2, 4, 6]))
            degree = int(np.clip(degree + rng.integers(-2, 3), -3, 9))
            if rng.random() < 0.75:
                phrase.append((bar, step, length, plan.note(degree, octave)))
            step += length
    for bar in range(plan.bars):
        if plan.plays("other", bar):
            for _, step, length, note in (part for part in phrase if part[0] == bar % 4):
                player.play(track, plan, plan.step(bar, step), length, note, 0.8)
    return track


LAYERS: Sequence[Layer] = (chords, comping, arpeggio, melody)
"""The players that together make the stem `other`."""
