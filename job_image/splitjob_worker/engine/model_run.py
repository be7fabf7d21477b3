"""One model's way through a song: its segments, batch after batch."""

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple, Protocol

import numpy as np
import torch

from splitjob_worker.engine.bag import Member
from splitjob_worker.engine.batching import Batcher, CudaMemory
from splitjob_worker.engine.device import half_precision
from splitjob_worker.engine.modules import position_draws
from splitjob_worker.engine.options import Options
from splitjob_worker.engine.overlap_add import OverlapAdd
from splitjob_worker.engine.parallel_passes import ParallelPasses
from splitjob_worker.engine.position import RunPosition
from splitjob_worker.engine.segments import Pass, Segment, context, in_order
from splitjob_worker.engine.transfer import HostToDevice
from splitjob_worker.engine.windows import count_preceding, normalised
from splitjob_worker.normalisation import Normalisation
from splitjob_worker.spool import CHANNELS, Samples


class Source(Protocol):
    """Where the mixture comes from."""

    @property
    def frames(self) -> int:
        """Samples per channel."""

    def read(self, start: int, stop: int) -> Samples:
        """Return samples from start to stop, shape (stop - start, 2)."""


class _Batch(NamedTuple):
    """A batch that was run: where one would begin to run it again, and where its samples end."""

    position: RunPosition
    end: int


class ModelRun:
    """The segments of one model, over all of its passes.

    Args:
        member: the model, and its share in each stem.
        passes: its ways through the song, one for each shift.
        device: that it is on.
        options: segment, batch and precision.
        stems: those asked for, as indices of the bag's stems.
        parallel: runs its forward passes.
        begin: where it goes on; None: at the song's beginning.

    Attributes:
        count: segments in all.
        done: segments that were run, or are left out since `begin` says so.
        upcoming: the next segment; None: all are taken.
    """

    def __init__(
        self,
        member: Member,
        passes: list[Pass],
        device: torch.device,
        options: Options,
        stems: Sequence[int],
        parallel: ParallelPasses,
        begin: RunPosition | None = None,
    ) -> None:
        self._model = member.model
        self._parallel = parallel
        self._device = device
        self._precision = options.precision
        self._frames = passes[0].end
        self._segment, self._stride = passes[0].segment, passes[0].stride
        self._shares = {
            row: (stems.index(row), share / len(passes))
            for row, share in member.shares.items()
            if row in stems
        }
        # Demucs gives an HTDemucs a segment of another length as it is: silence fills the rest.
        chosen = options.segment is not None and member.blueprint.klass.__name__ == "HTDemucs"
        self._chosen_length = self._segment if chosen else None
        self.done = begin.segment if begin else 0
        self._segments = islice(in_order(passes), self.done, None)
        self._reaching: deque[_Batch] = deque()  # those that a position may have to begin with
        self._windows: dict[int, torch.Tensor] = {}
        memory = CudaMemory(device) if device.type == "cuda" else None
        # What fits into a GPU's memory was found out; the first segment found it out.
        size = begin.batch if begin and begin.segment and memory else options.batch
        self._batcher = Batcher(memory, size, parallel.count)
        self.count = sum(1 for one in passes for _ in one.segments())
        self.upcoming = next(self._segments, None)

    @property
    def next_start(self) -> int:
        """Where the next segment starts; the song's end if there is none."""
        return self._frames if self.upcoming is None else self.upcoming.start

    def position(self, frame: int) -> RunPosition:
        """Return where to begin so that nothing from this sample on lacks a segment.

        Args:
            frame: a sample; none before the one asked for last.
        """
        while self._reaching and self._reaching[0].end <= frame:
            self._reaching.popleft()
        if self._reaching:
            return self._reaching[0].position
        return RunPosition(self.done, self._batcher.size)

    def next_batch(
        self,
        source: Source,
        normalisation: Normalisation,
        to_device: HostToDevice,
        sums: OverlapAdd,
        check_cancelled: Callable[[], None],
    ) -> Iterator[int]:
        """Run the next batch and add its results up; out of memory, it is split into several.

        Args:
            source: the mixture.
            normalisation: of the mixture.
            to_device: copies the model's input to its device.
            sums: where the results are added.
            check_cancelled: called before each forward pass; raises to stop.

        Yields:
            How many segments are done.
        """

        def forward(batch: Sequence[Segment]) -> Sequence[torch.Tensor]:
            check_cancelled()
            sums.reserve(batch[-1].start + batch[-1].length)
            length = self._input_length(batch[0])
            return self._forward(batch, _input(batch, length, source, normalisation, to_device))

        for batch, estimates in self._batcher.run(forward, self._take()):
            for segment, estimate in zip(batch, estimates, strict=True):
                self._add(segment, estimate, sums)
            position = RunPosition(self.done, self._batcher.size)
            self._reaching.append(_Batch(position, batch[-1].start + batch[-1].length))
            self.done += len(batch)
            yield len(batch)

    def _add(self, segment: Segment, estimate: torch.Tensor, sums: OverlapAdd) -> None:
        """Add the model's estimate for a segment to the stems that it contributes to."""
        trim = context(segment, estimate.shape[-1]).trim
        trimmed = estimate[..., trim : trim + segment.length]
        sums.add(segment.start, trimmed, self._window(segment), self._shares)

    def _take(self) -> list[Segment]:
        """Take as many segments as one batch may have; all have the same input length."""
        taken: list[Segment] = []
        while self.upcoming is not None and len(taken) < self._batcher.size:
            if taken and self._input_length(self.upcoming) != self._input_length(taken[0]):
                break
            taken.append(self.upcoming)
            self.upcoming = next(self._segments, None)
        return taken

    def _input_length(self, segment: Segment) -> int:
        """Return how many samples the model takes for a segment; an HDemucs takes any length."""
        if self._chosen_length is not None:
            return self._chosen_length
        if hasattr(self._model, "valid_length"):
            return int(self._model.valid_length(segment.length))
        return segment.length

    def _forward(self, batch: Sequence[Segment], samples: torch.Tensor) -> Sequence[torch.Tensor]:
        """Return the model's estimate for each segment, shape (stems, 2, input length)."""
        each = math.ceil(len(batch) / self._parallel.count)
        draws = [segment.draw for segment in batch]
        parts = [
            (draws[begin : begin + each], samples[begin : begin + each])
            for begin in range(0, len(batch), each)
        ]
        if len(parts) == 1:
            return list(self._estimates(parts[0]))
        results = self._parallel.run(self._estimates, parts)
        return [estimate for estimates in results for estimate in estimates]

    @torch.inference_mode()
    def _estimates(self, part: tuple[Sequence[int], torch.Tensor]) -> torch.Tensor:
        """Run one forward pass, with what torch keeps per thread."""
        draws, samples = part
        with position_draws(draws), half_precision(self._device, self._precision):
            estimates: torch.Tensor = self._model(samples)
        return estimates.float()

    def _window(self, segment: Segment) -> torch.Tensor:
        preceding = count_preceding(segment.index, self._segment, self._stride)
        if preceding not in self._windows:
            window = normalised(self._segment, self._stride, preceding)
            self._windows[preceding] = torch.from_numpy(window).to(self._device)
        return self._windows[preceding]


def _input(
    batch: Sequence[Segment],
    length: int,
    source: Source,
    normalisation: Normalisation,
    to_device: HostToDevice,
) -> torch.Tensor:
    """Return the model's input: the normalised song, and silence around it.

    Returns:
        Shape (segments, 2, length), on the device.
    """
    buffer = to_device.buffer(len(batch), CHANNELS, length)
    for row, segment in zip(buffer, batch, strict=True):
        wanted = context(segment, length)
        begin, end = max(wanted.start, 0), min(wanted.start + wanted.length, source.frames)
        target = row[:, begin - wanted.start : end - wanted.start]
        np.subtract(source.read(begin, end).T, np.float32(normalisation.mean), out=target)
        target /= np.float32(normalisation.deviation)
    return to_device.send()
