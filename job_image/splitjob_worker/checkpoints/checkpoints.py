"""The checkpoints of one song: what runs before have kept of it, and what this one keeps."""

import logging
from collections.abc import Callable
from typing import Self

from splitjob.checkpoints import checkpoint_identity
from splitjob_io.storage import S3Service, StorageError
from splitjob_worker.cancellation import Cancelled, CancelToken
from splitjob_worker.checkpoints.backlog import MOST_BYTES
from splitjob_worker.checkpoints.index import Index
from splitjob_worker.checkpoints.packing import DamagedError
from splitjob_worker.checkpoints.reading import Downloaded, SlowError
from splitjob_worker.checkpoints.store import CheckpointStore
from splitjob_worker.checkpoints.writing import CheckpointWriter
from splitjob_worker.engine.position import Earlier, Position
from splitjob_worker.scratch import Scratch
from splitjob_worker.settings import WorkerSettings
from splitjob_worker.spool import Samples

ENDING_SECONDS = 5  # of the grace period, for what else is to be done: parts to abort, a report
LAST_RANGE_SECONDS = 20  # for a range under way, which would be left over behind the deletion

log = logging.getLogger(__name__)


class Checkpoints:
    """Keeps the stems of a song in the bucket; a `keeper.Keeper`. Whatever fails, the job goes on.

    Args:
        store: of the job.
        fingerprint: of the separation (`fingerprint.fingerprint_of`).
        scratch: for ranges that wait.
        cancel: when it was told to stop, what waits is sent.
        grace_seconds: from then on until the process is killed.
    """

    def __init__(
        self,
        store: CheckpointStore,
        fingerprint: str,
        scratch: Scratch,
        cancel: CancelToken,
        grace_seconds: float,
    ) -> None:
        self._store, self._fingerprint = store, fingerprint
        self._scratch, self._cancel, self._grace = scratch, cancel, grace_seconds
        self._writer: CheckpointWriter | None = None

    def open(
        self, stems: int, needed_bytes: int, check_cancelled: Callable[[], None]
    ) -> Earlier | None:
        """Download what runs before have kept; see `Keeper.open`."""
        if self._scratch.left() < needed_bytes + MOST_BYTES:
            log.warning("no checkpoints: the scratch disk has no room for ranges that wait")
            return None
        try:
            index, earlier = self._earlier(stems, needed_bytes, check_cancelled)
        except (StorageError, OSError) as error:
            log.warning("no checkpoints: %s", error)
            return None
        self._writer = CheckpointWriter(self._store, self._fingerprint, self._scratch.folder, index)
        return earlier

    def keep(self, stems: Samples, position: Position | None) -> None:
        """Keep the next block; see `engine.position.KeepStems`."""
        if self._writer:
            self._writer.keep(stems, position)

    def remove(self) -> None:
        """Delete what all runs of the job have kept: it is completed."""
        if self._writer:
            self._writer.wait_until_closed(LAST_RANGE_SECONDS)
        try:
            self._store.remove_all()
        except StorageError as error:
            log.warning("checkpoints are left in the bucket: %s", error)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._writer is None:
            return
        if kind is Cancelled:
            left = self._grace - self._cancel.seconds_since - ENDING_SECONDS
            self._writer.finish_within(left)
            _say_what_is_kept(self._writer.index)
        self._writer.close()

    def _earlier(
        self, stems: int, needed_bytes: int, check_cancelled: Callable[[], None]
    ) -> tuple[Index, Earlier] | tuple[None, None]:
        index = self._cancel.run(lambda: self._store.furthest(self._fingerprint))
        if index is None:
            return None, None
        size = sum(one.size for one in index.ranges)
        if self._scratch.left() < needed_bytes + MOST_BYTES + size:
            log.warning("a checkpoint is left aside: the scratch disk has no room for it")
            return None, None
        try:
            downloaded = Downloaded(
                self._store, index, stems, self._scratch.folder, check_cancelled
            )
        except (DamagedError, SlowError) as error:
            log.warning("a checkpoint is thrown away, the song is separated anew: %s", error)
            return None, None
        log.info(
            "goes on from a checkpoint",
            extra={"frame": index.frame, "ranges": len(index.ranges), "bytes": size},
        )
        return index, Earlier(index.position, downloaded.blocks())


def open_checkpoints(
    storage: S3Service,
    settings: WorkerSettings,
    prefix: str,
    fingerprint: str,
    scratch: Scratch,
    cancel: CancelToken,
) -> Checkpoints | None:
    """Return the checkpoints of a song; None: the bucket takes none.

    Args:
        storage: the bucket.
        settings: of the job.
        prefix: of its objects (`splitjob.result.storage_prefix`).
        fingerprint: of the separation (`fingerprint.fingerprint_of`).
        scratch: for ranges that wait.
        cancel: stops the job.
    """
    try:
        locked = cancel.run(storage.is_object_lock_enabled)
    except StorageError as error:
        log.warning("no checkpoints: %s", error)
        return None
    if locked:
        log.info("no checkpoints: under the bucket's Object Lock they could not be deleted")
        return None
    identity = checkpoint_identity(settings.job_uid, settings.request.submission_id)
    store = CheckpointStore(storage, prefix, identity, settings.attempt)
    return Checkpoints(store, fingerprint, scratch, cancel, settings.grace_seconds)


def _say_what_is_kept(index: Index | None) -> None:
    if index is None:
        log.warning("no checkpoint: another attempt starts again")
        return
    log.info(
        "another attempt can go on from a checkpoint",
        extra={"frame": index.frame, "ranges": len(index.ranges)},
    )
