"""The manifests in the bucket: looked for, and tombstones written in their place.

Every write states what it found there, so that of two operators, or an operator and a worker, the
later one fails. Nothing is deleted in a manifest's place: no condition of a deletion holds on every
storage. What is in the way is written over.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

from pydantic import ValidationError

from splitjob.checkpoints import checkpoint_folder, checkpoint_identity, keys_of_job
from splitjob.result import Manifest, storage_prefix
from splitjob.spec import Request
from splitjob_io.storage import S3Service, StorageError
from splitjob_operator.core.lookups import (
    ClaimTombstone,
    EraseData,
    ErasureLookup,
    ManifestLookup,
    ManifestState,
)
from splitjob_operator.core.manifest import (
    classify,
    erased_tombstone,
    key_of,
    reservation,
    tombstone,
)
from splitjob_operator.core.observed import SplitJob
from splitjob_operator.core.ports import BucketError
from splitjob_operator.core.settings import Settings

__all__ = ["ManifestStore"]

log = logging.getLogger(__name__)

CLAIM_TRIES = 3

INPUT = "input"  # what the file from POST /uploads is called: its name is the caller's


@dataclass(frozen=True, slots=True)
class _Place:
    """What stands in the place of a job's manifest.

    Attributes:
        lookup: what it means to the job.
        etag: which state of it was read; blank: nothing stands there.
    """

    lookup: ManifestLookup
    etag: str = ""


class ManifestStore:
    """The manifests of an installation.

    Args:
        service: the bucket.
        prefix: STORAGE_PREFIX.
        fence: called before each write; raises where this process may write nothing.
    """

    def __init__(
        self, service: S3Service, prefix: str, fence: Callable[[], None] = lambda: None
    ) -> None:
        self._service = service
        self._prefix = prefix
        self._fence = fence

    @classmethod
    def from_settings(cls, settings: Settings, fence: Callable[[], None]) -> Self | None:
        """Return the store of an installation; None where no bucket is configured.

        Args:
            settings: the installation's.
            fence: called before each write; raises where this process may write nothing.

        Raises:
            BucketError: the storage cannot be used as it is configured.
        """
        if not settings.s3_bucket:
            return None
        with _translated():
            return cls(S3Service(), settings.storage_prefix, fence)

    def read(self, splitjob: SplitJob, request: Request) -> ManifestLookup:
        """Return what is under the key of a job's manifest."""
        try:
            return self._read(self._key(splitjob, request), splitjob.uid, request).lookup
        except StorageError as error:
            return _unreachable_or_refused(error)

    def claim(self, splitjob: SplitJob, request: Request, wanted: ClaimTombstone) -> ManifestLookup:
        """Write a tombstone unless a manifest is there; return what is there now.

        Behind the tombstone, what attempts kept for later ones is deleted.
        """
        found = self._claim(splitjob, request, wanted)
        if found.state is ManifestState.OUR_TOMBSTONE and wanted.usage.attempts:
            self._delete_checkpoints(splitjob, request)
        return found

    def _claim(
        self, splitjob: SplitJob, request: Request, wanted: ClaimTombstone
    ) -> ManifestLookup:
        key = self._key(splitjob, request)
        stone = tombstone(splitjob, request, wanted)
        etag = ""  # most often nothing is there
        try:
            for _ in range(CLAIM_TRIES):
                if self._write(key, stone, etag):
                    return ManifestLookup(ManifestState.OUR_TOMBSTONE, stone)
                there = self._read(key, splitjob.uid, request)
                if there.lookup.state in {ManifestState.COMPLETED, ManifestState.OUR_TOMBSTONE}:
                    return there.lookup
                etag = there.etag
        except StorageError as error:
            return _unreachable_or_refused(error)
        return ManifestLookup(ManifestState.UNREACHABLE, message=self._unsteady(key))

    def replace_foreign(self, splitjob: SplitJob, request: Request) -> None:
        """Keep the manifest's place for the job where a former one of its name left something.

        Raises:
            BucketError: that could not be done, or something else stands there by now.
        """
        key = self._key(splitjob, request)
        with _translated():
            there = self._read(key, splitjob.uid, request)
            if there.lookup.state is not ManifestState.FOREIGN:
                return
            if not self._write(key, reservation(splitjob, request), there.etag):
                raise BucketError(self._unsteady(key))

    def erase(self, splitjob: SplitJob, request: Request, wanted: EraseData) -> ErasureLookup:
        """Erase all below a job's prefix and the file that it read, and leave a tombstone.

        The tombstone comes first: a worker that was cut off finds it, and completes nothing. It
        says which files there were, so that this survives a crash in between.
        """
        prefix = storage_prefix(self._prefix, request.version_id, splitjob.name)
        key = key_of(prefix)
        try:
            there = self._read(key, splitjob.uid, request)
            keys = [found["key"] for found in self._service.list_objects(f"{prefix}/")]
            sent = self._there(wanted.input_key)
            names = [one.removeprefix(f"{prefix}/") for one in keys] + [INPUT for _ in sent]
            files = _files(there.lookup, names, key.removeprefix(f"{prefix}/"))
            if not self._write(key, erased_tombstone(splitjob, request, files), there.etag):
                return ErasureLookup(None, self._unsteady(key))
            gone = keys if wanted.keep_input else keys + sent
            self._fence()
            self._service.delete_objects([one for one in gone if one != key])
        except StorageError as error:
            return ErasureLookup(None, str(error))
        return ErasureLookup(files)

    def _delete_checkpoints(self, splitjob: SplitJob, request: Request) -> None:
        """Delete the checkpoints of a job that ended without stems, and no other job's.

        Its pods are gone. A worker that is cut off from the cluster may still write some, which the
        bucket's own rule has to delete.
        """
        folder = checkpoint_folder(storage_prefix(self._prefix, request.version_id, splitjob.name))
        identity = checkpoint_identity(splitjob.uid, request.submission_id)
        try:
            found = self._service.list_objects(folder)
            if keys := keys_of_job((one["key"] for one in found), folder, identity):
                self._fence()
                self._service.delete_objects(keys)
        except StorageError as error:
            log.warning("checkpoints are left in the bucket: %s", error)

    def _there(self, input_key: str | None) -> list[str]:
        """Return the key of a file in a list, nothing where it is not there."""
        return [input_key] if input_key and self._service.file_exists(input_key) else []

    def _key(self, splitjob: SplitJob, request: Request) -> str:
        return key_of(storage_prefix(self._prefix, request.version_id, splitjob.name))

    def _read(self, key: str, job_uid: str, request: Request) -> _Place:
        stored = self._service.read_object(key)
        if stored is None:
            return _Place(ManifestLookup(ManifestState.ABSENT))
        try:
            manifest = Manifest.model_validate_json(stored.content)
        except ValidationError:
            return _Place(ManifestLookup(ManifestState.FOREIGN), stored.etag)
        return _Place(classify(manifest, job_uid, request), stored.etag)

    def _write(self, key: str, manifest: Manifest, etag: str) -> bool:
        """Write where the place is still as it was read; return whether it is."""
        body = manifest.model_dump_json(by_alias=True, exclude_none=True).encode()
        self._fence()
        if etag:
            return self._service.put_if_unchanged(key, body, etag)
        return self._service.put_if_absent(key, body)

    def _unsteady(self, key: str) -> str:
        return f"{self._service.url(key)} keeps changing"


def _files(known: ManifestLookup, found: Sequence[str], manifest: str) -> list[str]:
    """Return which files there were before the first try to erase them.

    Args:
        known: what stands in the manifest's place.
        found: which files there are now.
        manifest: the manifest's name.
    """
    ours = known.manifest if known.state is ManifestState.OUR_TOMBSTONE else None
    before = ours.erased_files if ours else None
    if before is None:
        return sorted(found)
    return sorted({*before, *found} - ({manifest} - {*before}))  # there is our tombstone now


@contextmanager
def _translated() -> Iterator[None]:
    """Turn what the storage raises into the error of the port."""
    try:
        yield
    except StorageError as error:
        raise BucketError(str(error)) from error


def _unreachable_or_refused(error: StorageError) -> ManifestLookup:
    state = ManifestState.UNREACHABLE if error.retryable else ManifestState.REFUSED
    return ManifestLookup(state, message=f"{error}{error.advice}")
