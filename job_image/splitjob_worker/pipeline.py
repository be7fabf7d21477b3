"""A song into stems: each is spooled, encoded and handed on while the model is still at work.

Each stem has a thread of its own with a short queue in front of it: where a disk or an encoder is
slow, the model waits, and memory does not fill up.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from dataclasses import dataclass
from queue import Empty, Full, Queue
from typing import Protocol, Self, TypeVar

import numpy as np

from splitjob.result import MIXTURE
from splitjob_worker.checkpoints.keeper import Keeper, KeepNothing
from splitjob_worker.engine.options import Options
from splitjob_worker.engine.position import Earlier, KeepStems
from splitjob_worker.machine import cpu_count, lower_thread_priority
from splitjob_worker.normalisation import Normalisation
from splitjob_worker.scratch import check_room
from splitjob_worker.spool import BLOCK_FRAMES, FRAME_BYTES, Samples, Spool
from splitjob_worker.stems import clipping, waveform
from splitjob_worker.stems.output import EncodedStem, StemOutput, WaveformFile
from splitjob_worker.stems.residual_writer import ResidualWriter
from splitjob_worker.stems.stem_writer import StemWriter

MAX_QUEUED = 4  # blocks of a stem, of three seconds each, that may wait for its thread
_POLL_SECONDS = 0.1

T = TypeVar("T")


class StageTimer(Protocol):
    """Is told of the stages `separate` and `encode`, as `reporting.progress.Progress` is."""

    def stage(self, name: str, /) -> AbstractContextManager[Callable[[float], None]]:
        """Run a stage; the context's value is called with the share that is done, 0 to 1."""


class SongSeparation(Protocol):
    """What is needed of a `Separation`: it yields blocks of shape (outputs, 2, n)."""

    def __iter__(self) -> Iterator[Samples]:
        """Yield blocks that follow one another."""

    @property
    def residual_dbfs(self) -> float | None:
        """RMS of what the model left over; None where that cannot be said."""


class SongSeparator(Protocol):
    """What is needed of a `Separator`: benchmarks and storms put others in its place."""

    @property
    def sample_rate(self) -> int:
        """Of mixture and stems, Hz."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of what a block has, in order."""

    @property
    def separated(self) -> tuple[str, ...]:
        """The names of what is kept for another attempt."""

    def separate(
        self,
        mixture: Spool,
        normalisation: Normalisation,
        options: Options,
        *,
        earlier: Earlier | None,
        keep: KeepStems,
        on_progress: Callable[[float], None],
        check_cancelled: Callable[[], None],
    ) -> SongSeparation:
        """Separate one song, as `Separator.separate` does."""


@dataclass(frozen=True)
class SeparatedSong:
    """A song in stems.

    Attributes:
        stems: the files, in the separator's order; one that it does not give comes last.
        sample_rate: of the files, Hz.
        residual_dbfs: see `Separation.residual_dbfs`.
        mixture_waveform: at the model's rate, where waveforms are made.
    """

    stems: list[EncodedStem]
    sample_rate: int
    residual_dbfs: float | None
    mixture_waveform: WaveformFile | None = None

    @property
    def waveforms(self) -> list[WaveformFile]:
        """Those of the stems, and the mixture's."""
        of_stems = [stem.waveform for stem in self.stems]
        return [one for one in (*of_stems, self.mixture_waveform) if one]


def separate_song(
    separator: SongSeparator,
    mixture: Spool,
    normalisation: Normalisation,
    options: Options,
    output: StemOutput,
    *,
    progress: StageTimer,
    check_cancelled: Callable[[], None] = lambda: None,
    keeper: Keeper | None = None,
) -> SeparatedSong:
    """Separate a song into files. However it fails, no thread and no file is left.

    Args:
        separator: the model.
        mixture: at the model's rate.
        normalisation: of the mixture.
        options: of the separation.
        output: what is made of the stems.
        progress: times `separate`, which ends with the model's last samples, and `encode`, what is
            left to do then until the last file is finished.
        check_cancelled: called every tenth of a second in this thread; raises to stop.
        keeper: keeps the stems for another attempt, and has kept those of one before; None: nobody.

    Raises:
        Failure: `worker_storage` (before the work begins), `gpu_oom`, `gpu_error`, `worker_oom`,
            `internal_error`.
        OSError: the disk is full after all.
        ValueError: the format has no such sample rate.
    """
    needed = _check_room(separator, mixture.frames, output)
    with _StemThreads(separator, mixture, output, check_cancelled) as threads:
        with progress.stage("separate") as on_progress, keeper or KeepNothing() as kept:
            separation = separator.separate(
                mixture,
                normalisation,
                options,
                earlier=kept.open(len(separator.separated), needed, check_cancelled),
                keep=kept.keep,
                on_progress=on_progress,
                check_cancelled=check_cancelled,
            )
            threads.put_all(separation)
        with progress.stage("encode") as on_progress:
            files = threads.finish(on_progress)
    rate = output.encoding.rate(separator.sample_rate)
    return SeparatedSong(files, rate, separation.residual_dbfs, threads.mixture_waveform)


def _names(separator: SongSeparator, output: StemOutput) -> tuple[str, ...]:
    """Return the names of the files' stems."""
    names = separator.outputs
    if output.encoding.clip_mode != "exact" or output.residual_to in names:
        return names
    return (*names, output.residual_to)


def _check_room(separator: SongSeparator, frames: int, output: StemOutput) -> int:
    """Check that a song fits; return the bytes that it takes at most."""
    count, mode = len(_names(separator, output)), output.encoding.clip_mode
    spools = count - (mode == "exact") if clipping.may_scale(mode) else 0  # but of the residual's
    files = count * output.encoding.max_bytes(frames, separator.sample_rate)
    if output.encoding.waveforms:
        files += (count + 1) * waveform.max_bytes(frames, separator.sample_rate)
    check_room(output.scratch, spools * frames * FRAME_BYTES, output.folder, files)
    return spools * frames * FRAME_BYTES + files


class _AbandonedError(Exception):
    """Another thread failed, or the song was cancelled: this thread has nothing left to do."""


class _StemQueue:
    """The writer of a stem, and the blocks that wait for its thread; None ends them.

    Args:
        writer: of the stem.
        row: which of the separator's stems it is given; None: all of them.
    """

    def __init__(self, writer: StemWriter, row: int | None) -> None:
        self.writer, self._row = writer, row
        self.blocks: Queue[Samples | None] = Queue(MAX_QUEUED)

    def part_of(self, block: Samples) -> Samples:
        """Return what the writer is given of a block of shape (stems, 2, n)."""
        return block if self._row is None else block[self._row].T


def _queues(
    separator: SongSeparator, mixture: Spool, output: StemOutput, levels: clipping.Levels
) -> list[_StemQueue]:
    """Return the queue of each file's stem, in the files' order."""
    names, rate = separator.outputs, separator.sample_rate
    exact = output.encoding.clip_mode == "exact"
    queues = {
        name: _StemQueue(StemWriter(name, mixture.frames, rate, output, levels), row)
        for row, name in enumerate(names)
        if not (exact and name == output.residual_to)
    }
    if exact:
        taker = output.residual_to
        others = [queue.writer for queue in queues.values()]
        replaced = names.index(taker) if taker in names else None
        writer = ResidualWriter(taker, mixture, rate, output, levels, others, replaced)
        queues[taker] = _StemQueue(writer, None)
    return [queues[name] for name in _names(separator, output)]


class _StemThreads:
    """The threads of a song's stems; a context manager that leaves none of them.

    Attributes:
        mixture_waveform: of the song itself, once `finish` has returned; None: none was wanted.
    """

    def __init__(
        self,
        separator: SongSeparator,
        mixture: Spool,
        output: StemOutput,
        check_cancelled: Callable[[], None],
    ) -> None:
        names = _names(separator, output)
        self.mixture_waveform: WaveformFile | None = None
        self._mixture, self._rate = mixture, separator.sample_rate
        self._output = output
        self._check_cancelled = check_cancelled
        self._levels = clipping.Levels(names, output.encoding.clip_mode)
        self._abandoned = threading.Event()
        self._finishing = threading.Semaphore(cpu_count())  # files that are finished in parallel
        self._queues = _queues(separator, mixture, output, self._levels)
        self._pool = ThreadPoolExecutor(
            len(names) + 1, thread_name_prefix="stem", initializer=lower_thread_priority
        )
        self._tasks: list[Future[None]] = []

    def __enter__(self) -> Self:
        self._tasks = [self._pool.submit(self._consume, queue) for queue in self._queues]
        if self._output.encoding.waveforms:
            self._tasks.append(self._pool.submit(self._draw_mixture))
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._abandoned.set()
        self._pool.shutdown(cancel_futures=True)
        for queue in self._queues:
            queue.writer.remove_spool()
        if kind is not None:
            for queue in self._queues:
                queue.writer.remove()
            waveform.path_of(MIXTURE, self._output.folder).unlink(missing_ok=True)

    def put_all(self, blocks: Iterable[Samples]) -> None:
        """Hand blocks to the threads, shape (stems, 2, n); wait where they lag behind.

        Raises:
            Failure, OSError: what a thread failed with.
        """
        for block in blocks:
            for start in range(0, block.shape[-1], BLOCK_FRAMES):
                piece = block[..., start : start + BLOCK_FRAMES]
                for queue in self._queues:
                    self._put(queue, queue.part_of(piece))

    def finish(self, on_progress: Callable[[float], None]) -> list[EncodedStem]:
        """Wait for the files.

        Args:
            on_progress: is told the share of the files that are finished, 0 to 1.

        Raises:
            Failure, OSError: what a thread failed with.
        """
        for queue in self._queues:
            self._put(queue, None)
        self._wait(self._tasks)
        gains = self._levels.gains()
        tasks = [self._pool.submit(self._finish, queue, gains) for queue in self._queues]
        return self._wait(tasks, on_progress)

    def _put(self, queue: _StemQueue, samples: Samples | None) -> None:
        while True:
            for task in self._tasks:
                if task.done():  # before its last block was put: it failed, or drew the mixture
                    task.result()
            try:
                queue.blocks.put(samples, timeout=_POLL_SECONDS)
            except Full:
                self._check_cancelled()
            else:
                return

    def _wait(
        self,
        tasks: list[Future[T]],
        on_progress: Callable[[float], None] = lambda _share: None,
    ) -> list[T]:
        left = set(tasks)
        while left:
            done, left = wait(left, timeout=_POLL_SECONDS, return_when=FIRST_EXCEPTION)
            for task in done:
                task.result()
            on_progress(1 - len(left) / len(tasks))
            self._check_cancelled()
        return [task.result() for task in tasks]

    def _consume(self, queue: _StemQueue) -> None:
        queue.writer.open()
        while (samples := self._next(queue)) is not None:
            queue.writer.write(samples)
        queue.writer.end()

    def _next(self, queue: _StemQueue) -> Samples | None:
        while True:
            self._check_abandoned()
            try:
                return queue.blocks.get(timeout=_POLL_SECONDS)
            except Empty:
                continue

    def _finish(self, queue: _StemQueue, gains: Mapping[str, float]) -> EncodedStem:
        with self._finishing:
            self._check_abandoned()
            finished = queue.writer.finish(gains[queue.writer.name], self._check_abandoned)
        self._output.observer.file_finished(finished)
        if finished.waveform:
            self._output.observer.waveform_finished(finished.waveform)
        return finished

    def _draw_mixture(self) -> None:
        drawn = waveform.Waveform(MIXTURE, self._rate)
        for block in self._mixture.blocks():
            self._check_abandoned()
            drawn.add(np.clip(block, -1.0, 1.0))
        self.mixture_waveform = drawn.save(self._output.folder)
        self._output.observer.waveform_finished(self.mixture_waveform)

    def _check_abandoned(self) -> None:
        if self._abandoned.is_set():
            raise _AbandonedError
