"""One bucket, and what all work with it has in common."""

from contextlib import AbstractContextManager
from functools import cached_property
from http import HTTPStatus
from typing import Any

from splitjob.configuration import read_settings
from splitjob.storage_settings import StorageSettings
from splitjob_io import bucket_demands
from splitjob_io.storage.client import PATIENT, Patience, new_client
from splitjob_io.storage.errors import StorageError, translating

__all__ = ["Bucket", "content_type_of"]

_LOCKS_UNKNOWN = {"NotImplemented", "MethodNotAllowed"}


class Bucket:
    """Where a bucket is, and the client that reaches it.

    Args:
        settings: where the bucket is; from the environment by default.
        bucket: another bucket than the settings' one.
        patience: with a storage that does not answer; by default five minutes, which outlast most
            of its outages.

    Raises:
        splitjob.configuration.ConfigurationError: the environment cannot be used.
    """

    def __init__(
        self,
        settings: StorageSettings | None = None,
        bucket: str = "",
        patience: Patience | None = None,
    ) -> None:
        self.settings = settings or read_settings(StorageSettings)
        self.bucket = bucket or self.settings.s3_bucket
        self._patience = patience or PATIENT
        if not self.bucket:
            raise StorageError("no bucket is configured: set S3_BUCKET")

    @cached_property
    def client(self) -> Any:  # noqa: ANN401 - boto3 builds its clients' classes at run time
        """The boto3 client behind it."""
        return new_client(self.settings, self._patience)

    @property
    def upload_headers(self) -> dict[str, str]:
        """What a PUT to a URL of `generate_presigned_put_url` must carry, by name."""
        return bucket_demands.headers_of_uploads(self.settings)

    def url(self, s3_key: str) -> str:
        """Return `s3://bucket/key`."""
        return f"s3://{self.bucket}/{s3_key}"

    def test_connection(self) -> bool:
        """Return whether the bucket is there and these keys may use it."""
        try:
            with self._speaking_of("reach the bucket"):
                self.client.head_bucket(Bucket=self.bucket)
        except StorageError:
            return False
        return True

    def is_object_lock_enabled(self) -> bool:
        """Return whether what is written here may not be deleted for a while.

        Keys that may not ask are told by the checksum, which such a bucket demands of each object.

        Raises:
            StorageError: the storage cannot be reached.
        """
        try:
            with self._speaking_of("look for an Object Lock of the bucket"):
                answer = self.client.get_object_lock_configuration(Bucket=self.bucket)
        except StorageError as error:
            if error.retryable and error.code not in _LOCKS_UNKNOWN:
                raise
            return error.status == HTTPStatus.FORBIDDEN and bool(self.settings.s3_checksum)
        configuration = answer.get("ObjectLockConfiguration", {})
        return bool(configuration.get("ObjectLockEnabled") == "Enabled")

    def _written(self, content_type: str) -> dict[str, str]:
        """Return the parameters that all calls have which write an object."""
        return content_type_of(content_type) | bucket_demands.checksum_of(self.settings)

    def _speaking_of(self, deed: str, s3_key: str = "") -> AbstractContextManager[None]:
        """Have what fails say what was attempted on what; see `translating`."""
        return translating(f"{deed} {self.url(s3_key)}")


def content_type_of(content_type: str) -> dict[str, str]:
    """Return the parameter for an object's media type; none where it is blank."""
    return {"ContentType": content_type} if content_type else {}
