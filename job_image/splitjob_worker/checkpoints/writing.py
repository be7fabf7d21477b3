"""Ranges go up in a thread of their own, while the model is at work.

They wait on the scratch disk, not in memory. Where more and more of them wait, the model makes them
faster than they can be sent: then it is cheaper to make them again, and no more are sent. Whatever
fails here ends the checkpoints, never the job.
"""

import logging
import threading
import time
from pathlib import Path
from queue import Queue

import numpy as np

from splitjob_io.storage import StorageError
from splitjob_worker.checkpoints.backlog import Backlog
from splitjob_worker.checkpoints.cutting import CutRange, RangeCutter
from splitjob_worker.checkpoints.index import Index, StoredRange
from splitjob_worker.checkpoints.packing import pack
from splitjob_worker.checkpoints.store import CheckpointStore
from splitjob_worker.engine.position import Position
from splitjob_worker.machine import lower_thread_priority
from splitjob_worker.spool import Samples

log = logging.getLogger(__name__)


class CheckpointWriter:
    """Keeps the stems of one song in the bucket as they become final.

    Args:
        store: where they go.
        fingerprint: of the separation.
        folder: on the scratch disk.
        earlier: the index that this run goes on from; None: it began at the song's beginning.

    Attributes:
        index: the last one that was written; None: none.
    """

    def __init__(
        self,
        store: CheckpointStore,
        fingerprint: str,
        folder: Path,
        earlier: Index | None = None,
    ) -> None:
        self.index = earlier
        self._store, self._fingerprint = store, fingerprint
        self._stored: list[StoredRange] = list(earlier.ranges) if earlier else []
        self._began = time.monotonic() - (earlier.seconds if earlier else 0)
        self._cutter = RangeCutter(folder)
        self._backlog = Backlog()
        self._queue: Queue[CutRange | None] = Queue()
        self._thread: threading.Thread | None = None
        self._stopped = False
        self._ends: float | None = None  # by `time.monotonic()`

    def keep(self, stems: Samples, position: Position | None) -> None:
        """Take the next block of the stems (`engine.position.KeepStems`); wait for nothing."""
        if self._stopped:
            return
        try:
            cut = self._cutter.add(stems, position)
        except OSError as error:
            self.stop(f"the scratch disk: {error.strerror}")
            return
        if cut is not None:
            self._put(cut)
        if self._backlog.too_long:
            self.stop("the model is faster than the bucket, so that it is cheaper to start again")

    def stop(self, why: str) -> None:
        """Keep nothing more of this song, and say why; what is kept stays."""
        if not self._stopped:
            self._stopped = True
            log.warning("no more checkpoints: %s", why)

    def finish_within(self, seconds: float) -> None:
        """Send what waits, as far as the rate so far says that it will be done in time.

        Args:
            seconds: that are left.
        """
        self._ends = time.monotonic() + seconds
        if not self._stopped and (rest := self._cutter.rest()):
            self._put(rest)
        if self._thread:
            self._queue.put(None)
            self._thread.join(max(seconds, 0.0))

    def close(self) -> None:
        """Send nothing more, and wait for nothing."""
        self._stopped = True
        self._queue.put(None)
        self._cutter.close()

    def wait_until_closed(self, seconds: float) -> None:
        """Wait for a range that is under way, behind which nothing more is written."""
        if self._thread:
            self._thread.join(seconds)

    def _put(self, cut: CutRange) -> None:
        self._backlog.add(cut)
        self._queue.put(cut)
        if self._thread is None:
            self._thread = threading.Thread(target=self._send_all, name="checkpoint", daemon=True)
            self._thread.start()

    def _send_all(self) -> None:
        lower_thread_priority()
        while (cut := self._queue.get()) is not None and not self._stopped:
            if self._ends and time.monotonic() + self._backlog.seconds_for(cut) > self._ends:
                return
            try:
                with self._backlog.sending(cut):
                    self._send(cut)
            except Exception as error:  # noqa: BLE001 - the job goes on, whatever it is
                self.stop(str(error) if isinstance(error, StorageError) else type(error).__name__)

    def _send(self, cut: CutRange) -> None:
        packed = pack(np.fromfile(cut.path, "<f4"))
        cut.path.unlink()
        self._stored.append(self._store.write_range(packed, cut.frames))
        if cut.position is not None and not self._stopped:
            seconds = time.monotonic() - self._began
            index = Index.of(self._fingerprint, seconds, cut.position, self._stored)
            self._store.write_index(index)
            self.index = index
