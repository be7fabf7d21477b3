"""One song: its stems are spooled, encoded and handed on while the model is still at work.

Each stem has a thread of its own, with a short queue before it: where a disk or an encoder is slow,
the model waits, and memory does not fill.
"""

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, Full, Queue
from typing import Protocol, Self, TypeVar

from splitjob_worker.engine.separator import Options, Separator
from splitjob_worker.machine import cpus, let_others_first
from splitjob_worker.normalisation import Normalisation
from splitjob_worker.scratch import Scratch, check_room
from splitjob_worker.spool import BLOCK_FRAMES, FRAME_BYTES, Samples, Spool
from splitjob_worker.stems import clipping
from splitjob_worker.stems.encode import EncodedStem, Encoding
from splitjob_worker.stems.stem_writer import FileWatcher, StemWriter

QUEUED = 4  # pieces of a stem, of three seconds each, that may wait for its thread
_POLL_SECONDS = 0.1

T = TypeVar("T")


class Stages(Protocol):
    """Hears of the stages `separate` and `encode`, as `reporting.progress.Progress` does."""

    def stage(self, name: str, /) -> AbstractContextManager[Callable[[float], None]]:
        """Run a stage; the function taken hears the share that is done, 0 to 1."""


class Unwatched:
    """A `FileWatcher` for files that nobody waits for."""

    def grown(self, path: Path) -> None:
        """A file is longer."""

    def dropped(self, path: Path) -> None:
        """A file is about to be thrown away."""

    def finished(self, stem: EncodedStem) -> None:
        """A file is finished."""


@dataclass(frozen=True)
class Output:
    """What is made of the stems, and where.

    Attributes:
        encoding: of the files.
        folder: of the files, `<stem>.<extension>`; it exists.
        scratch: for the spools.
        watcher: hears of each file as it grows and is finished, in a thread of its own.
    """

    encoding: Encoding
    folder: Path
    scratch: Scratch
    watcher: FileWatcher = field(default_factory=Unwatched)


@dataclass(frozen=True)
class Song:
    """A song in stems.

    Attributes:
        stems: the files, in the separator's order.
        sample_rate: of the files, Hz.
        residual_dbfs: `Separation.residual_dbfs`.
    """

    stems: list[EncodedStem]
    sample_rate: int
    residual_dbfs: float | None


def separate_song(
    separator: Separator,
    mixture: Spool,
    normalisation: Normalisation,
    options: Options,
    output: Output,
    *,
    progress: Stages,
    check_stop: Callable[[], None] = lambda: None,
) -> Song:
    """Separate a song into files. However it fails, no thread and no file is left.

    Args:
        separator: the model.
        mixture: at the model's rate.
        normalisation: of the mixture.
        options: of the separation.
        output: what is made of the stems.
        progress: hears of `separate`, until the model has given its last samples, and of `encode`:
            what it takes from then until the last file is finished.
        check_stop: called again and again in this thread; raises to stop.

    Raises:
        Failure: `worker_storage` (before the work begins), `gpu_oom`, `gpu_error`, `worker_oom`,
            `internal_error`.
        OSError: the disk is full after all.
        ValueError: the format has no such sample rate.
    """
    _check_room(separator, mixture.frames, output)
    with _Threads(separator, mixture.frames, output, check_stop) as threads:
        with progress.stage("separate") as on_progress:
            separation = separator.separate(
                mixture, normalisation, options, on_progress=on_progress, check_stop=check_stop
            )
            for block in separation:
                threads.put(block)
        with progress.stage("encode") as on_progress:
            files = threads.finish(on_progress)
    rate = output.encoding.rate(separator.sample_rate)
    return Song(files, rate, separation.residual_dbfs)


def _check_room(separator: Separator, frames: int, output: Output) -> None:
    count = len(separator.outputs)
    spooled = clipping.may_scale(output.encoding.clip_mode)
    check_room(
        output.scratch,
        count * frames * FRAME_BYTES if spooled else 0,
        output.folder,
        count * output.encoding.size(frames, separator.sample_rate),
    )


class _Abandoned(Exception):  # noqa: N818 - reads as what happened
    """Another thread failed, or the song was stopped: this one has nothing left to do."""


class _Lane:
    """A stem, and the pieces of it that wait for its thread; None ends them."""

    def __init__(self, writer: StemWriter) -> None:
        self.writer = writer
        self.queue: Queue[Samples | None] = Queue(QUEUED)


class _Threads:
    """The threads of a song's stems; a context manager that leaves none of them."""

    def __init__(
        self, separator: Separator, frames: int, output: Output, check_stop: Callable[[], None]
    ) -> None:
        names = separator.outputs
        self._output = output
        self._check_stop = check_stop
        self._peaks = dict.fromkeys(names, 0.0)
        self._abandoned = threading.Event()
        self._turns = threading.Semaphore(cpus())  # of files that are finished at once
        self._lanes = [_Lane(self._writer(name, frames, separator.sample_rate)) for name in names]
        self._pool = ThreadPoolExecutor(
            len(names), thread_name_prefix="stem", initializer=let_others_first
        )
        self._tasks: list[Future[None]] = []

    def __enter__(self) -> Self:
        self._tasks = [self._pool.submit(self._consume, lane) for lane in self._lanes]
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._abandoned.set()
        self._pool.shutdown(cancel_futures=True)
        if kind is not None:
            for lane in self._lanes:
                lane.writer.remove()

    def put(self, block: Samples) -> None:
        """Hand a block to the threads, shape (stems, 2, n); wait where they lag behind.

        Raises:
            Failure, OSError: what a thread failed with.
        """
        for start in range(0, block.shape[-1], BLOCK_FRAMES):
            piece = block[..., start : start + BLOCK_FRAMES]
            for lane, samples in zip(self._lanes, piece, strict=True):
                self._put(lane, samples.T)

    def finish(self, on_progress: Callable[[float], None]) -> list[EncodedStem]:
        """Wait for the files.

        Args:
            on_progress: hears the share of them that is finished.

        Raises:
            Failure, OSError: what a thread failed with.
        """
        for lane in self._lanes:
            self._put(lane, None)
        self._wait(self._tasks)
        gains = clipping.gains(self._peaks, self._output.encoding.clip_mode)
        tasks = [self._pool.submit(self._finish, lane, gains) for lane in self._lanes]
        return self._wait(tasks, on_progress)

    def _writer(self, name: str, frames: int, model_rate: int) -> StemWriter:
        spool = self._output.scratch.folder / f"{name}.stem.f32"  # no stem has a dot in its name
        output = self._output
        return StemWriter(
            name,
            frames,
            model_rate,
            output.encoding,
            output.folder,
            spool,
            self._peaks,
            output.watcher,
        )

    def _put(self, lane: _Lane, samples: Samples | None) -> None:
        while True:
            for task in self._tasks:
                if task.done():  # before its end was put: it failed
                    task.result()
            try:
                lane.queue.put(samples, timeout=_POLL_SECONDS)
            except Full:
                self._check_stop()
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
            self._check_stop()
        return [task.result() for task in tasks]

    def _consume(self, lane: _Lane) -> None:
        lane.writer.open()
        while (samples := self._next(lane)) is not None:
            lane.writer.write(samples)
        lane.writer.end()

    def _next(self, lane: _Lane) -> Samples | None:
        while True:
            self._check_abandoned()
            try:
                return lane.queue.get(timeout=_POLL_SECONDS)
            except Empty:
                continue

    def _finish(self, lane: _Lane, gains: Mapping[str, float]) -> EncodedStem:
        with self._turns:
            self._check_abandoned()
            finished = lane.writer.finish(gains[lane.writer.name], self._check_abandoned)
        self._output.watcher.finished(finished)
        return finished

    def _check_abandoned(self) -> None:
        if self._abandoned.is_set():
            raise _Abandoned
