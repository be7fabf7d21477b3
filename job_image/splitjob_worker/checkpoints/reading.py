"""What runs before this one have kept is downloaded, checked, and goes into the files again."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path

import numpy as np

from splitjob_worker.checkpoints.index import Index, StoredRange
from splitjob_worker.checkpoints.packing import DamagedError, unpack
from splitjob_worker.checkpoints.store import CheckpointStore
from splitjob_worker.spool import CHANNELS, Samples

PARALLEL = 4
_POLL_SECONDS = 0.1


class SlowError(Exception):
    """To download takes longer than to compute took."""


class Downloaded:
    """The ranges of an index on the scratch disk, whole and checked.

    Args:
        store: where they come from.
        index: names them.
        stems: of each range.
        folder: on the scratch disk.
        check_cancelled: called every tenth of a second; raises to stop.

    Raises:
        DamagedError: a range is gone, or not what was written.
        SlowError: it is cheaper to compute them again.
        StorageError: the bucket cannot be read.
        OSError: the disk is full.
    """

    def __init__(
        self,
        store: CheckpointStore,
        index: Index,
        stems: int,
        folder: Path,
        check_cancelled: Callable[[], None],
    ) -> None:
        self._store, self._stems, self._folder = store, stems, folder
        self._ranges = list(enumerate(index.ranges))
        self._ends = time.monotonic() + index.seconds
        pool = ThreadPoolExecutor(PARALLEL, "checkpoint")
        try:
            left = {pool.submit(self._download, *numbered) for numbered in self._ranges}
            while left:
                done, left = wait(left, _POLL_SECONDS, FIRST_EXCEPTION)
                for download in done:
                    download.result()
                check_cancelled()
                self._check_worth(len(left))
        except BaseException:
            self._remove()
            raise
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def blocks(self) -> Iterator[Samples]:
        """Yield the ranges, shape (stems, 2, n); each file is deleted as it is read."""
        for number, stored in self._ranges:
            path = self._path(number)
            flat = unpack(path.read_bytes()).reshape(stored.frames, -1)
            path.unlink()
            yield np.ascontiguousarray(flat.T).reshape(self._stems, CHANNELS, stored.frames)

    def _check_worth(self, left: int) -> None:
        if left and time.monotonic() > self._ends:
            raise SlowError("to download it takes longer than to compute it again")

    def _remove(self) -> None:
        for number, _ in self._ranges:
            self._path(number).unlink(missing_ok=True)

    def _download(self, number: int, stored: StoredRange) -> None:
        packed = self._store.read_range(stored)
        if len(unpack(packed)) != stored.frames * self._stems * CHANNELS:
            raise DamagedError(f"{stored.key} holds another number of samples than its index says")
        self._path(number).write_bytes(packed)

    def _path(self, number: int) -> Path:
        return self._folder / f"checkpoint-{number:08}"
