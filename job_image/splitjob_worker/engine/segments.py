"""Where the segments of a song lie: pure arithmetic, the same as in `demucs.apply` (4.1.0).

A song is cut into segments that overlap; with shifts, that is done several times, each time from
another point up to half a second before the song begins. Demucs draws these points from Python's
global generator, and every forward pass of an HTDemucs draws from it too: to get the same points,
the same number of draws has to be made.
"""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

MAX_SHIFT_SECONDS = 0.5


@dataclass(frozen=True)
class Geometry:
    """The properties of a model that decide where its segments lie.

    Attributes:
        sample_rate: Hz.
        segment: samples.
        draw_bound: each forward pass draws a number below this one; None: it draws none.
    """

    sample_rate: int
    segment: int
    draw_bound: int | None = None


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of the song.

    Attributes:
        start: its first sample; negative where it begins before the song.
        length: samples, fewer than the model's segment at the end of the song.
        index: its number in its pass.
        draw: what the model's forward pass draws for it.
    """

    start: int
    length: int
    index: int
    draw: int = 0


@dataclass(frozen=True)
class Pass:
    """One way of a model through the song.

    Attributes:
        start: of the first segment; 0, or less where the song is shifted.
        end: the song's length.
        segment: samples.
        stride: samples from one segment to the next.
        draws: one for each segment; empty where the model draws none.
    """

    start: int
    end: int
    segment: int
    stride: int
    draws: Sequence[int] = ()

    def segments(self) -> Iterator[Segment]:
        """Yield the segments that reach into the song, in order."""
        for index, start in enumerate(range(self.start, self.end, self.stride)):
            length = min(self.segment, self.end - start)
            if start + length > 0:
                draw = self.draws[index] if self.draws else 0
                yield Segment(start, length, index, draw)


def passes(
    geometry: Geometry, frames: int, overlap: float, shifts: int, generator: Random
) -> list[Pass]:
    """Return the passes of one model through a song.

    Args:
        geometry: of the model.
        frames: the song's length in samples.
        overlap: of the segments, 0 to below 1.
        shifts: how often the song is shifted; 0: one unshifted pass.
        generator: stands in for Python's global one; drawn from as Demucs does.
    """
    stride = int((1 - overlap) * geometry.segment)
    longest = int(MAX_SHIFT_SECONDS * geometry.sample_rate)
    result = []
    for _ in range(max(shifts, 1)):
        start = generator.randint(0, longest) - longest if shifts else 0
        draws: list[int] = []
        if geometry.draw_bound is not None:
            count = len(range(start, frames, stride))
            draws = [generator.randrange(geometry.draw_bound) for _ in range(count)]
        result.append(Pass(start, frames, geometry.segment, stride, draws))
    return result


def in_order(song_passes: Sequence[Pass]) -> Iterator[Segment]:
    """Yield the segments of several passes, in the order of their first samples."""
    return heapq.merge(*(one.segments() for one in song_passes), key=lambda segment: segment.start)


@dataclass(frozen=True, slots=True)
class Context:
    """The model's input for a segment, and which part of its output counts.

    Attributes:
        start: the first sample of the input, which is silent outside of the song.
        length: samples of the input.
        trim: samples to leave out at the beginning of the output.
    """

    start: int
    length: int
    trim: int


def context(segment: Segment, input_length: int) -> Context:
    """Return the input for a segment of a model that takes `input_length` samples.

    The segment is in the middle, with the song around it rather than silence
    (`demucs.apply.TensorChunk.padded`, `demucs.utils.center_trim`).
    """
    trim = (input_length - segment.length) // 2
    return Context(segment.start - trim, input_length, trim)
