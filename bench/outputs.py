"""What waveforms and exact sums cost beside a separation, in processor time of a CPU.

The model is left out where they are measured, as two separations differ by more than they take:
stems that it gave once come again and again in its place. What that costs is told of an hour of a
stem, and as a share of what `demo`, the model of the registry that is over soonest, takes by
itself for as long a song. All of it runs on one song of minutes, and an hour is so many times that.
"""

import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.figures import Figure, at_most, note
from bench.normalising import normalisation
from splitjob.models import load_registry
from splitjob_synth import render_song
from splitjob_worker.engine import weights
from splitjob_worker.engine.options import Options
from splitjob_worker.engine.separator import Separator
from splitjob_worker.pipeline import SongSeparator, separate_song
from splitjob_worker.scratch import Scratch
from splitjob_worker.spool import Samples, Spool, SpoolWriter
from splitjob_worker.stems.encoding import Encoding
from splitjob_worker.stems.output import StemOutput

COMMAND = "make bench ONLY=outputs"
RATE = 44_100
PIECE_SECONDS = 30.0
REPEATS = 10
ROUNDS = 5
HOUR = 3600.0
QUIET, LOUD = 0.5, 1.5  # peak of the loudest stem: all gains are 1, and none is

PLAIN = Encoding()
DRAWN = replace(PLAIN, waveforms=True)
SHARED = Encoding(bit_depth=24, clip_mode="shared")
EXACT = replace(SHARED, clip_mode="exact")


@dataclass(frozen=True)
class Given:
    """Stems at hand, in the place of a `Separator`; and of its `Separation`, as they are a song's.

    Attributes:
        outputs: their names.
        piece: shape (stems, 2, n); it comes `REPEATS` times.
    """

    outputs: tuple[str, ...]
    piece: Samples
    sample_rate: int = RATE
    residual_dbfs: None = None

    @property
    def separated(self) -> tuple[str, ...]:
        """The names of the stems that would be kept."""
        return self.outputs

    def separate(self, *_: object, **__: object) -> "Given":
        """Return what can be iterated over."""
        return self

    def __iter__(self) -> Iterator[Samples]:
        """Yield blocks, as a model gives them."""
        for _ in range(REPEATS):
            yield self.piece

    def at(self, peak: float) -> "Given":
        """Return the same stems, the loudest of them with a peak."""
        return replace(self, piece=self.piece * np.float32(peak / np.abs(self.piece).max()))

    def mixture(self, folder: Path) -> Spool:
        """Return the song that they come from."""
        return _spool(self.piece.sum(axis=0).T, REPEATS, folder)


class Stages:
    """A `StageTimer` that tells nobody."""

    @contextmanager
    def stage(self, _name: str) -> Iterator[Any]:
        """Run a stage."""
        yield lambda _share: None


@dataclass(frozen=True)
class Comparison:
    """Two encodings of the same stems.

    Attributes:
        what: the second has that the first has not.
        given: the stems.
        less, more: the encodings.
        drawn: how many files the difference is spread over.
        goal: the largest share of a separation, in percent.
    """

    what: str
    given: Given
    less: Encoding
    more: Encoding
    drawn: int
    goal: float


def measure() -> list[Figure]:
    """Return the figures; takes about three minutes on two cores."""
    with tempfile.TemporaryDirectory(prefix="bench-outputs-") as name:
        folder = Path(name)
        given, hour = _separated(folder)
        quiet, loud = given.at(QUIET), given.at(LOUD)
        stems = len(given.outputs)
        comparisons = (
            # One more is drawn than there are stems: the mixture.
            Comparison("waveforms", quiet, PLAIN, DRAWN, stems + 1, 2.0),
            Comparison("exact for shared", quiet, SHARED, EXACT, stems, 2.0),
            Comparison("the same with a gain", loud, SHARED, EXACT, stems, 5.0),
        )
        figures = [note("outputs: an hour with demo, CPU", hour, "s", COMMAND)]
        for one in comparisons:
            extra = _extra(one, folder)
            each, share = f"outputs: {one.what}, an hour of a stem, CPU", 100 * extra / hour
            figures += [
                note(each, extra / one.drawn, "s", COMMAND),
                at_most(f"outputs: {one.what}, of the run", share, "%", one.goal, COMMAND),
            ]
        return figures


def _separated(folder: Path) -> tuple[Given, float]:
    """Return what the demo model makes of a piece, and the CPU seconds of an hour of that."""
    separator = Separator(weights.find(load_registry()["demo"], None), "cpu")
    stems = render_song(2026, PIECE_SECONDS, "heldout")
    piece = sum(stems.values(), start=0 * stems["drums"])
    mixture = _spool(piece.T, 1, folder)
    blocks = separator.separate(mixture, normalisation(mixture.blocks()), Options())
    given = Given(separator.outputs, np.concatenate(list(blocks), axis=-1))
    took = [_cpu_seconds(separator, mixture, PLAIN, folder) for _ in range(ROUNDS)]
    return given, statistics.median(took) * HOUR / PIECE_SECONDS


def _extra(comparison: Comparison, folder: Path) -> float:
    """Return how many CPU seconds of an hour of a song one encoding takes more; in turns."""
    mixture = comparison.given.mixture(folder)
    differences = []
    for _ in range(ROUNDS):
        before, after = (
            _cpu_seconds(comparison.given, mixture, encoding, folder)
            for encoding in (comparison.less, comparison.more)
        )
        print(f"    {comparison.what}: {after:.2f} s, without {before:.2f} s", flush=True)
        differences.append(after - before)
    return statistics.median(differences) * HOUR / (PIECE_SECONDS * REPEATS)


def _cpu_seconds(model: SongSeparator, mixture: Spool, encoding: Encoding, folder: Path) -> float:
    """Return what all threads take for a song together."""
    with (
        tempfile.TemporaryDirectory(dir=folder) as files,
        tempfile.TemporaryDirectory(dir=folder) as scratch,
    ):
        output = StemOutput(encoding, Path(files), Scratch(Path(scratch), None))
        if encoding.clip_mode == "exact":
            output = replace(output, residual_to=model.outputs[-1])
        about = normalisation(mixture.blocks())
        began = time.process_time()
        separate_song(model, mixture, about, Options(), output, progress=Stages())
        return time.process_time() - began


def _spool(samples: Samples, repeats: int, folder: Path) -> Spool:
    """Return a song of samples of shape (n, 2), over and over."""
    with SpoolWriter(folder / "mixture.f32") as writer:
        for _ in range(repeats):
            writer.append(np.ascontiguousarray(samples, np.float32))
        return writer.close()
