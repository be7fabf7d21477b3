"""The manifests in the bucket: looked for, and tombstones written in their place."""

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Self

from pydantic import ValidationError

from splitjob.resource import Request
from splitjob.result import Manifest, storage_prefix
from splitjob_io.storage import S3Service, StorageError
from splitjob_operator.core.lookups import (
    ClaimTombstone,
    EraseData,
    ErasureLookup,
    ManifestLookup,
    ManifestState,
)
from splitjob_operator.core.manifest import classify, erased_tombstone, key_of, tombstone
from splitjob_operator.core.observed import SplitJob
from splitjob_operator.core.ports import BucketError
from splitjob_operator.core.settings import Settings

__all__ = ["ManifestStore"]

CLAIM_TRIES = 3


class ManifestStore:
    """The manifests of an installation.

    Args:
        service: the bucket.
        prefix: STORAGE_PREFIX.
    """

    def __init__(self, service: S3Service, prefix: str) -> None:
        self._service = service
        self._prefix = prefix

    @classmethod
    def from_settings(cls, settings: Settings) -> Self | None:
        """Return the store of an installation; None where no bucket is configured.

        Raises:
            BucketError: the storage cannot be used as it is configured.
        """
        if not settings.s3_bucket:
            return None
        with _translated():
            return cls(S3Service(), settings.storage_prefix)

    def read(self, splitjob: SplitJob, request: Request) -> ManifestLookup:
        """Return what is under the key of a job's manifest."""
        try:
            return self._read(self._key(splitjob, request), splitjob.uid, request)
        except StorageError as error:
            return _unreachable_or_refused(error)

    def claim(self, splitjob: SplitJob, request: Request, wanted: ClaimTombstone) -> ManifestLookup:
        """Write a tombstone unless a manifest is there; return what is there now."""
        key = self._key(splitjob, request)
        number = splitjob.status.attempts[-1].number if splitjob.status.attempts else 0
        stone = tombstone(splitjob, request, number, wanted)
        body = stone.model_dump_json(by_alias=True, exclude_none=True).encode()
        try:
            for _ in range(CLAIM_TRIES):
                if self._service.put_if_absent(key, body):
                    return ManifestLookup(ManifestState.OUR_TOMBSTONE, stone)
                there = self._read(key, splitjob.uid, request)
                if there.state in {ManifestState.COMPLETED, ManifestState.OUR_TOMBSTONE}:
                    return there
                if there.state is ManifestState.FOREIGN:
                    self._service.delete_file(key)
        except StorageError as error:
            return _unreachable_or_refused(error)
        return ManifestLookup(
            ManifestState.UNREACHABLE, message=f"{self._service.url(key)} keeps changing"
        )

    def delete_foreign(self, splitjob: SplitJob, request: Request) -> None:
        """Delete what a former job of the same name left in the manifest's place.

        Raises:
            BucketError: it could not be deleted.
        """
        key = self._key(splitjob, request)
        with _translated():
            if self._read(key, splitjob.uid, request).state is ManifestState.FOREIGN:
                self._service.delete_file(key)

    def erase(self, splitjob: SplitJob, request: Request, wanted: EraseData) -> ErasureLookup:
        """Erase all below a job's prefix and the file that it read, and leave a tombstone.

        The tombstone comes first: a worker that was cut off finds it, and completes nothing. It
        says how many objects there were, so that the number survives a crash in between.
        """
        prefix = storage_prefix(self._prefix, request.version_id, splitjob.name)
        key = key_of(prefix)
        try:
            known = self._read(key, splitjob.uid, request)
            ours = known.manifest if known.state is ManifestState.OUR_TOMBSTONE else None
            before = ours.erased_objects if ours else None
            keys = [found["key"] for found in self._service.list_objects(f"{prefix}/")]
            sent = self._there(wanted.input_key)
            found = len(keys) + len(sent)
            objects = found if before is None else max(before, found - 1)
            stone = erased_tombstone(splitjob, request, objects)
            body = stone.model_dump_json(by_alias=True, exclude_none=True).encode()
            self._service.upload_fileobj(BytesIO(body), key, "application/json")
            gone = keys if wanted.keep_input else keys + sent
            self._service.delete_objects([one for one in gone if one != key])
        except StorageError as error:
            return ErasureLookup(None, str(error))
        return ErasureLookup(objects)

    def _there(self, input_key: str | None) -> list[str]:
        """Return the key of a file in a list, nothing where it is not there."""
        return [input_key] if input_key and self._service.file_exists(input_key) else []

    def _key(self, splitjob: SplitJob, request: Request) -> str:
        return key_of(storage_prefix(self._prefix, request.version_id, splitjob.name))

    def _read(self, key: str, job_uid: str, request: Request) -> ManifestLookup:
        try:
            raw = self._service.get_json(key)
            if raw is None:
                return ManifestLookup(ManifestState.ABSENT)
            return classify(Manifest.model_validate(raw), job_uid, request)
        except ValidationError:
            return ManifestLookup(ManifestState.FOREIGN)
        except StorageError as error:
            if error.code == "NotJson":
                return ManifestLookup(ManifestState.FOREIGN)
            raise


@contextmanager
def _translated() -> Iterator[None]:
    """Turn what the storage raises into the error of the port."""
    try:
        yield
    except StorageError as error:
        raise BucketError(str(error)) from error


def _unreachable_or_refused(error: StorageError) -> ManifestLookup:
    state = ManifestState.UNREACHABLE if error.retryable else ManifestState.REFUSED
    return ManifestLookup(state, message=str(error))
