"""The plan of a song: tempo, key, chords, and when each stem plays."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from splitjob_synth.palette import Palette
from splitjob_synth.signal import SAMPLERATE, choose

STEMS = ("drums", "bass", "other", "vocals")
"""The stems of a song, in the order of Demucs' models."""

_SCALES = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "harmonic minor": (0, 2, 3, 5, 7, 8, 11),
}
_PROGRESSIONS = (
    (0, 4, 5, 3),
    (0, 5, 3, 4),
    (5, 3, 0, 4),
    (0, 3, 0, 4),
    (1, 4, 0, 0),
    (0, 6, 5, 4),
    (0, 2, 3, 3),
    (0, 0, 3, 5),
)


@dataclass(frozen=True)
class Plan:
    """The plan that all players of a song share.

    Attributes:
        samples: length of the song.
        sixteenth: length of a sixteenth note in samples, not rounded.
        beats_per_bar: 3 or 4.
        swing: how late every second sixteenth is, as a share of a sixteenth.
        tonic: pitch class, 0 is C.
        scale: name of the scale.
        progression: chord roots as degrees of the scale, one per bar, repeated.
        silent: for every stem, blocks of four bars in which it rests.
    """

    samples: int
    sixteenth: float
    beats_per_bar: int
    swing: float
    tonic: int
    scale: str
    progression: tuple[int, ...]
    silent: dict[str, frozenset[int]]

    @property
    def beat(self) -> int:
        """Length of a beat in samples."""
        return int(self.sixteenth * 4)

    @cached_property
    def bars(self) -> int:
        """Number of bars, the last one perhaps cut off."""
        return int(np.ceil(self.samples / (self.sixteenth * 4 * self.beats_per_bar)))

    def step(self, bar: int, sixteenth: float) -> int:
        """First sample of a sixteenth of a bar."""
        late = self.swing if int(sixteenth) % 2 else 0.0
        return int((bar * self.beats_per_bar * 4 + sixteenth + late) * self.sixteenth)

    def plays(self, stem: str, bar: int) -> bool:
        """Whether a stem has something to play in a bar."""
        return bar // 4 not in self.silent[stem]

    def root(self, bar: int) -> int:
        """Root of the bar's chord, as a degree of the scale."""
        return self.progression[bar % len(self.progression)]

    def note(self, degree: int, octave: int) -> int:
        """MIDI note of a degree of the scale; degrees beyond 6 are in the octaves above."""
        scale = _SCALES[self.scale]
        return 12 * (octave + 1) + self.tonic + 12 * (degree // 7) + scale[degree % 7]


def draw_plan(rng: np.random.Generator, samples: int, palette: Palette) -> Plan:
    """Draw a song's plan from what its palette allows."""
    tempo = rng.uniform(*choose(rng, palette.tempi))
    progression = choose(rng, _PROGRESSIONS)
    blocks = range(1, 1 + int(samples / SAMPLERATE * tempo / 960) + 1)
    odds = {"drums": 0.12, "bass": 0.12, "other": 0.08, "vocals": 0.25}
    return Plan(
        samples=samples,
        sixteenth=SAMPLERATE * 15.0 / tempo,
        beats_per_bar=3 if rng.random() < 0.1 else 4,
        swing=float(rng.choice([0.0, 0.0, rng.uniform(0.1, 0.4)])),
        tonic=int(rng.choice(palette.tonics)),
        scale=str(rng.choice(list(_SCALES))),
        progression=tuple(int(degree) for degree in np.roll(progression, rng.integers(4))),
        silent={s: frozenset(b for b in blocks if rng.random() < odds[s]) for s in STEMS},
    )
