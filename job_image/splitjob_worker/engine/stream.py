"""A song through the models, from its beginning to its end.

Segments run in the order of the song, whichever model and shift they belong to. So everything
before the segments that are still to come is final, and memory holds the segments in progress,
never the song.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random

import torch

from splitjob_worker.engine.bag import Bag
from splitjob_worker.engine.model_run import ModelRun, Source
from splitjob_worker.engine.options import Options
from splitjob_worker.engine.overlap_add import OverlapAdd
from splitjob_worker.engine.parallel_passes import ParallelPasses, pass_count
from splitjob_worker.engine.position import Position
from splitjob_worker.engine.segments import passes
from splitjob_worker.engine.transfer import DeviceToHost, HostToDevice
from splitjob_worker.normalisation import Normalisation
from splitjob_worker.spool import CHANNELS, Samples


@dataclass(frozen=True)
class Block:
    """A piece of all stems that were asked for.

    Attributes:
        start: its first sample in the song.
        stems: shape (stems, 2, n).
        position: where one could go on behind it; None: only behind a later block.
    """

    start: int
    stems: Samples
    position: Position | None = None


def separate(
    bag: Bag,
    source: Source,
    normalisation: Normalisation,
    options: Options,
    *,
    stems: Sequence[int],
    begin: Position | None = None,
    on_progress: Callable[[float], None] = lambda _share: None,
    check_cancelled: Callable[[], None] = lambda: None,
) -> Iterator[Block]:
    """Separate one song.

    Args:
        bag: loaded, with all models that contribute to `stems`.
        source: the mixture, at the bag's rate.
        normalisation: of the mixture.
        options: shifts, overlap and so on.
        stems: which, as indices of the bag's stems.
        begin: a position of an earlier separation; None: the song's beginning.
        on_progress: is told the share that is done, 0 to 1, after each batch.
        check_cancelled: called before and after each batch, and every tenth of a second while
            forward passes run in parallel; raises to stop.

    Yields:
        The stems from there to the song's end, in the order of `stems`.

    Raises:
        RuntimeError, MemoryError: torch failed (`device.failure` says what that means).
    """
    device = bag.device
    sums = OverlapAdd(len(stems), CHANNELS, source.frames, device, begin.frame if begin else 0)
    to_device, to_host = HostToDevice(device), DeviceToHost(device)
    pending: Iterator[Block] = iter(())

    def next_batch(run: ModelRun) -> Iterator[int]:
        return run.next_batch(source, normalisation, to_device, sums, check_cancelled)

    count = pass_count(device, _longest_segment(bag, options))
    with ParallelPasses(count, check_cancelled) as parallel:
        runs = _model_runs(bag, source.frames, options, stems, parallel, begin)
        for end in _final_until(runs, next_batch, on_progress):
            check_cancelled()
            start = sums.released
            if end <= start:
                continue
            position = Position(end, tuple(run.position(end) for run in runs))
            # One batch behind: a GPU goes on while the stems of the last batch are written.
            yield from pending
            pieces = to_host.pieces(_denormalised(sums, end, normalisation))
            pending = _blocks(start, pieces, position)
            if device.type == "cpu":
                yield from pending
        yield from pending


def _final_until(
    runs: list[ModelRun],
    next_batch: Callable[[ModelRun], Iterator[int]],
    on_progress: Callable[[float], None],
) -> Iterator[int]:
    """Run all batches; after each, yield where the samples end that no later segment changes."""
    total = sum(run.count for run in runs)
    while unfinished := [run for run in runs if run.upcoming is not None]:
        for _ in next_batch(min(unfinished, key=lambda run: run.next_start)):
            on_progress(sum(run.done for run in runs) / total)
        yield min(run.next_start for run in runs)


def _longest_segment(bag: Bag, options: Options) -> float:
    """Return the seconds of the longest segments."""
    return float(options.segment or max(member.blueprint.segment for member in bag.members))


def _model_runs(
    bag: Bag,
    frames: int,
    options: Options,
    stems: Sequence[int],
    parallel: ParallelPasses,
    begin: Position | None,
) -> list[ModelRun]:
    """Return the run of each model that is needed; models that are not still draw their shifts."""
    generator = Random(options.seed)  # noqa: S311 - Demucs' own generator, for the same shifts
    runs: list[ModelRun] = []
    for member in bag.members:
        geometry = member.blueprint.geometry
        if options.segment is not None:
            geometry = replace(geometry, segment=int(geometry.sample_rate * options.segment))
        song_passes = passes(geometry, frames, options.overlap, options.shifts, generator)
        if any(stem in member.shares for stem in stems):
            place = begin.runs[len(runs)] if begin else None
            runs.append(ModelRun(member, song_passes, bag.device, options, stems, parallel, place))
    return runs


@torch.inference_mode()
def _denormalised(sums: OverlapAdd, end: int, normalisation: Normalisation) -> torch.Tensor:
    return sums.release(end).mul_(normalisation.deviation).add_(normalisation.mean)


def _blocks(start: int, pieces: Iterator[Samples], position: Position) -> Iterator[Block]:
    for piece in pieces:
        end = start + piece.shape[-1]
        yield Block(start, piece, position if end == position.frame else None)
        start = end
