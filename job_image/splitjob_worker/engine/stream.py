"""The song through the models, from its beginning to its end.

Segments are run in the order of the song, whichever model and shift they belong to, so that what
lies before all that are still to come is final: memory holds the segments under way, never the
song.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Protocol

import numpy as np
import torch

from splitjob_worker.engine.bag import Bag, Member
from splitjob_worker.engine.batching import Batcher, CudaMemory
from splitjob_worker.engine.device import Precision, lowered
from splitjob_worker.engine.modules import drawing
from splitjob_worker.engine.overlap_add import OverlapAdd
from splitjob_worker.engine.segments import Pass, Segment, context, in_order, passes
from splitjob_worker.engine.side_by_side import SideBySide, at_once
from splitjob_worker.engine.transfer import Downloads, Upload
from splitjob_worker.engine.windows import normalised, preceding
from splitjob_worker.normalisation import Normalisation
from splitjob_worker.spool import CHANNELS, Samples


class Source(Protocol):
    """Where the mixture comes from."""

    @property
    def frames(self) -> int:
        """Samples a channel."""

    def read(self, start: int, stop: int) -> Samples:
        """Return samples from start to stop, shape (stop - start, 2)."""


@dataclass(frozen=True)
class Options:
    """How a song is separated.

    Attributes:
        shifts: random shifts averaged; 0: none.
        overlap: of the segments, 0 to 0.9.
        seed: of the shifts.
        segment: seconds that every model is cut into segments of; None: each its own. An HTDemucs
            takes no more than it was trained on.
        batch: segments that are run together; None: chosen by the device's free memory; on a CPU,
            as many as it runs at once (`side_by_side`).
        precision: of the calculation (`device.set_up` for the first two).
    """

    shifts: int = 0
    overlap: float = 0.25
    seed: int = 0
    segment: float | None = None
    batch: int | None = None
    precision: Precision = "ieee"


@dataclass(frozen=True)
class Block:
    """A piece of all stems that were asked for.

    Attributes:
        start: its first sample in the song.
        stems: shape (stems, 2, n).
    """

    start: int
    stems: Samples


def separate(
    bag: Bag,
    device: torch.device,
    source: Source,
    normalisation: Normalisation,
    options: Options,
    *,
    stems: Sequence[int],
    on_progress: Callable[[float], None] = lambda _share: None,
    check_stop: Callable[[], None] = lambda: None,
) -> Iterator[Block]:
    """Separate one song.

    Args:
        bag: loaded, with all that contributes to `stems`.
        device: that it was loaded to.
        source: the mixture, at the bag's rate.
        normalisation: of the mixture.
        options: how.
        stems: which, as numbers of the bag's stems.
        on_progress: hears the share that is done, 0 to 1, after each batch.
        check_stop: called before and after each batch, and again and again while several forward
            passes run side by side; raises to stop.

    Yields:
        The stems from the song's beginning to its end, in the order of `stems`.

    Raises:
        RuntimeError, MemoryError: torch failed (`device.failure` says what that means).
    """
    output = OverlapAdd(len(stems), CHANNELS, source.frames, device)
    upload, downloads = Upload(device), Downloads(device)
    coming: Iterator[Block] = iter(())
    done = 0
    with SideBySide(at_once(device, _longest(bag, options)), check_stop) as side_by_side:
        lines = _lines(bag, device, source.frames, options, stems, side_by_side)
        total = sum(line.count for line in lines)
        while waiting := [line for line in lines if line.upcoming is not None]:
            line = min(waiting, key=lambda one: one.next_start)
            for count in line.run(source, normalisation, upload, output, check_stop):
                done += count
                on_progress(done / total)
            check_stop()
            begin, end = output.released, min(one.next_start for one in lines)
            if end <= begin:
                continue
            # One batch behind: a GPU goes on while the stems of the last one are written.
            yield from coming
            sums = _scaled(output.release(end), normalisation)
            coming = _blocks(begin, downloads.pieces(sums))
            del sums
            if device.type == "cpu":
                yield from coming
        yield from coming


def _longest(bag: Bag, options: Options) -> float:
    """Return the seconds of the longest segments."""
    return float(options.segment or max(member.blueprint.segment for member in bag.members))


def _blocks(start: int, pieces: Iterator[Samples]) -> Iterator[Block]:
    for piece in pieces:
        yield Block(start, piece)
        start += piece.shape[-1]


@torch.inference_mode()
def _scaled(sums: torch.Tensor, normalisation: Normalisation) -> torch.Tensor:
    return sums.mul_(normalisation.deviation).add_(normalisation.mean)


def _lines(
    bag: Bag,
    device: torch.device,
    frames: int,
    options: Options,
    stems: Sequence[int],
    side_by_side: SideBySide,
) -> list["_Line"]:
    """Return one line of segments for each model that is needed."""
    generator = Random(options.seed)  # noqa: S311 - Demucs' own, for Demucs' numbers
    lines = []
    for member in bag.members:
        geometry = member.blueprint.geometry
        if options.segment is not None:
            geometry = replace(geometry, segment=int(geometry.sample_rate * options.segment))
        ways = passes(geometry, frames, options.overlap, options.shifts, generator)
        if any(stem in member.shares for stem in stems):
            lines.append(_Line(member, ways, device, options, stems, side_by_side))
    return lines


class _Line:
    """The segments of one model, over all of its passes."""

    def __init__(
        self,
        member: Member,
        ways: list[Pass],
        device: torch.device,
        options: Options,
        stems: Sequence[int],
        side_by_side: SideBySide,
    ) -> None:
        self._model = member.model
        self._side_by_side = side_by_side
        self._device = device
        self._precision = options.precision
        self._frames = ways[0].end
        self._segment, self._stride = ways[0].segment, ways[0].stride
        self._shares = {
            row: (stems.index(row), share / len(ways))
            for row, share in member.shares.items()
            if row in stems
        }
        # Demucs gives an HTDemucs a segment of another length as it is: silence fills the rest.
        chosen = options.segment is not None and member.blueprint.klass.__name__ == "HTDemucs"
        self._chosen_length = self._segment if chosen else None
        self._segments = in_order(ways)
        self._windows: dict[int, torch.Tensor] = {}
        memory = CudaMemory(device) if device.type == "cuda" else None
        self._batcher = Batcher(memory, options.batch, side_by_side.count)
        self.count = sum(1 for way in ways for _ in way.segments())
        self.upcoming = next(self._segments, None)

    @property
    def next_start(self) -> int:
        """Where the next segment starts; the song's end if there is none."""
        return self._frames if self.upcoming is None else self.upcoming.start

    def run(
        self,
        source: Source,
        normalisation: Normalisation,
        upload: Upload,
        output: OverlapAdd,
        check_stop: Callable[[], None],
    ) -> Iterator[int]:
        """Run the next batch, which memory may break into several, and add up what it gives.

        Yields:
            How many segments are done.
        """

        def forward(batch: Sequence[Segment]) -> Sequence[torch.Tensor]:
            check_stop()
            output.reserve(batch[-1].start + batch[-1].length)
            heard = _heard(batch, self._input_length(batch[0]), source, normalisation, upload)
            return self._forward(batch, heard)

        for batch, estimates in self._batcher.run(forward, self._take()):
            for segment, estimate in zip(batch, estimates, strict=True):
                self._add(segment, estimate, output)
            yield len(batch)

    def _add(self, segment: Segment, estimate: torch.Tensor, output: OverlapAdd) -> None:
        """Add what the model gave for a segment to the stems that it contributes to."""
        trim = context(segment, estimate.shape[-1]).trim
        counted = estimate[..., trim : trim + segment.length]
        output.add(segment.start, counted, self._window(segment), self._shares)

    def _take(self) -> list[Segment]:
        """Take as many segments as one batch may have; all give the model the same length."""
        taken: list[Segment] = []
        while self.upcoming is not None and len(taken) < self._batcher.size:
            if taken and self._input_length(self.upcoming) != self._input_length(taken[0]):
                break
            taken.append(self.upcoming)
            self.upcoming = next(self._segments, None)
        return taken

    def _input_length(self, segment: Segment) -> int:
        """Return how much the model wants to hear; HDemucs takes any length as it is."""
        if self._chosen_length is not None:
            return self._chosen_length
        if hasattr(self._model, "valid_length"):
            return int(self._model.valid_length(segment.length))
        return segment.length

    def _forward(self, batch: Sequence[Segment], heard: torch.Tensor) -> Sequence[torch.Tensor]:
        """Return the model's estimate for each segment, shape (stems, 2, input length)."""
        each = math.ceil(len(batch) / self._side_by_side.count)
        draws = [segment.draw for segment in batch]
        parts = [
            (draws[begin : begin + each], heard[begin : begin + each])
            for begin in range(0, len(batch), each)
        ]
        if len(parts) == 1:
            return list(self._estimates(parts[0]))
        return [
            one for several in self._side_by_side.run(self._estimates, parts) for one in several
        ]

    @torch.inference_mode()
    def _estimates(self, part: tuple[Sequence[int], torch.Tensor]) -> torch.Tensor:
        """Run one forward pass, with all that torch sets for a thread."""
        draws, heard = part
        with drawing(draws), lowered(self._device, self._precision):
            estimates: torch.Tensor = self._model(heard)
        return estimates.float()

    def _window(self, segment: Segment) -> torch.Tensor:
        before = preceding(segment.index, self._segment, self._stride)
        if before not in self._windows:
            window = normalised(self._segment, self._stride, before)
            self._windows[before] = torch.from_numpy(window).to(self._device)
        return self._windows[before]


def _heard(
    batch: Sequence[Segment],
    input_length: int,
    source: Source,
    normalisation: Normalisation,
    upload: Upload,
) -> torch.Tensor:
    """Return what the model hears: normalised, then silence around the song."""
    buffer = upload.buffer(len(batch), CHANNELS, input_length)
    for row, segment in zip(buffer, batch, strict=True):
        wanted = context(segment, input_length)
        begin, end = max(wanted.start, 0), min(wanted.start + wanted.length, source.frames)
        target = row[:, begin - wanted.start : end - wanted.start]
        np.subtract(source.read(begin, end).T, np.float32(normalisation.mean), out=target)
        target /= np.float32(normalisation.deviation)
    return upload.send()
