"""The objects of a job's checkpoints in the bucket."""

import hashlib
import logging
import secrets
from io import BytesIO

from pydantic import ValidationError

from splitjob.checkpoints import (
    checkpoint_folder,
    checkpoint_run,
    keys_of_job,
)
from splitjob_io.storage import S3Service, StorageError
from splitjob_worker.checkpoints.index import Index, StoredRange
from splitjob_worker.checkpoints.packing import DamagedError

INDEX = "index.json"

log = logging.getLogger(__name__)


class CheckpointStore:
    """Where one run of a worker writes, and what other runs of the job have written.

    Args:
        storage: the bucket.
        prefix: of the job's objects (`splitjob.result.storage_prefix`).
        identity: of the job (`splitjob.checkpoints`): what another job of its name left does not
            count.
        attempt: the number of this one.
    """

    def __init__(self, storage: S3Service, prefix: str, identity: str, attempt: int) -> None:
        self._storage = storage
        self._folder = checkpoint_folder(prefix)
        self._identity = identity
        self._run = checkpoint_run(attempt, identity, secrets.token_hex(8))
        self._written = 0

    def write_range(self, packed: bytes, frames: int) -> StoredRange:
        """Write the next range.

        Args:
            packed: as `packing.pack` returns it.
            frames: samples per channel of each stem.

        Raises:
            StorageError: it could not be written.
        """
        key = f"{self._run}/{self._written:08}"
        self._storage.upload_fileobj(BytesIO(packed), self._folder + key)
        self._written += 1
        digest = hashlib.sha256(packed).hexdigest()
        return StoredRange(key=key, frames=frames, size=len(packed), sha256=digest)

    def write_index(self, index: Index) -> None:
        """Write this run's index, once the ranges that it names are there.

        Raises:
            StorageError: it could not be written.
        """
        body = BytesIO(index.model_dump_json().encode())
        self._storage.upload_fileobj(body, f"{self._folder}{self._run}/{INDEX}", "application/json")

    def furthest(self, fingerprint: str) -> Index | None:
        """Return the index of this separation that leads furthest; None: there is none.

        Raises:
            StorageError: the bucket cannot be read.
        """
        indexes = (self._read_index(key) for key in self._keys() if key.endswith(f"/{INDEX}"))
        fitting = [one for one in indexes if one and one.fingerprint == fingerprint]
        return max(fitting, key=lambda one: one.frame, default=None)

    def read_range(self, stored: StoredRange) -> bytes:
        """Return a range, still packed.

        Raises:
            DamagedError: it is another one than was written, or gone.
            StorageError: the bucket cannot be read.
        """
        try:
            packed = self._storage.get_object(self._folder + stored.key)
        except StorageError as error:
            if error.missing:
                raise DamagedError(f"{stored.key} is gone") from None
            raise
        if hashlib.sha256(packed).hexdigest() != stored.sha256:
            raise DamagedError(f"{stored.key} is not what was written")
        return packed

    def remove_all(self) -> None:
        """Delete what all runs of this job have written: it has ended.

        Raises:
            StorageError: something could not be deleted.
        """
        self._storage.delete_objects(self._keys())

    def _keys(self) -> list[str]:
        """Return the keys of this job's objects, whatever else lies there."""
        found = self._storage.list_objects(self._folder)
        return keys_of_job((one["key"] for one in found), self._folder, self._identity)

    def _read_index(self, key: str) -> Index | None:
        try:
            return Index.model_validate_json(self._storage.get_object(key))
        except ValidationError:
            log.warning("a checkpoint is damaged or of another version", extra={"object": key})
            return None
        except StorageError as error:
            if error.missing:
                return None
            raise
