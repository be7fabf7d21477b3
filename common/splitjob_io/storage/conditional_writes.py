"""Writes that take place only where nobody else has written."""

import hashlib
from collections.abc import Mapping

from splitjob_io.storage.client import PATIENT
from splitjob_io.storage.errors import StorageError
from splitjob_io.storage.reading import ObjectReader

__all__ = ["ConditionalWriter"]

PRECONDITION_FAILED = {"412", "PreconditionFailed"}
CONFLICT = {"409", "ConditionalRequestConflict"}


class ConditionalWriter(ObjectReader):
    """Writes on a condition, and reads what is there where it was refused."""

    def put_if_absent(
        self, s3_key: str, body: bytes, content_type: str = "application/json"
    ) -> bool:
        """Write an object unless one of that key is there (`If-None-Match: *`).

        Of several writers exactly one is told True. A retry that meets what this very call wrote
        before its answer was lost counts as written, so bodies of different writers must differ.

        Returns:
            Whether the object now holds `body`.
        """
        return self._put_on_condition(s3_key, body, content_type, {"IfNoneMatch": "*"})

    def put_if_unchanged(
        self, s3_key: str, body: bytes, etag: str, content_type: str = "application/json"
    ) -> bool:
        """Write an object in the place of one that is still as it was read (`If-Match`).

        There is no deletion to go with it: R2 documents no condition for one, MinIO ignores it.
        Repeats and several writers fare as with `put_if_absent`.

        Args:
            s3_key: the object.
            body: its new content.
            etag: of `read_object`.
            content_type: of the new content.

        Returns:
            Whether the object now holds `body`; False where it has changed or is gone.
        """
        return self._put_on_condition(s3_key, body, content_type, {"IfMatch": etag})

    def _put_on_condition(
        self, s3_key: str, body: bytes, content_type: str, condition: Mapping[str, str]
    ) -> bool:
        conflicts = 0
        while True:
            try:
                with self._speaking_of("write", s3_key):
                    self.client.put_object(
                        Bucket=self.bucket,
                        Key=s3_key,
                        Body=body,
                        **self._written(content_type),
                        **condition,
                    )
            except StorageError as error:
                if error.code in CONFLICT and conflicts < PATIENT.attempts:
                    conflicts += 1  # somebody is writing it right now: ask again
                    continue
                refused = error.code in PRECONDITION_FAILED or error.status == 412
                if refused or (error.missing and "IfMatch" in condition):
                    return self._holds(s3_key, body)
                raise
            return True

    def _holds(self, s3_key: str, body: bytes) -> bool:
        try:
            return hashlib.sha256(self.get_object(s3_key)).digest() == hashlib.sha256(body).digest()
        except StorageError as error:
            if error.missing:
                return False
            raise
