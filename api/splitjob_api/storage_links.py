"""The installation's bucket as the API sees it: URLs for callers without keys to it, small files.

Signing needs no network but for credentials that come from a token service. They are this service's
own. They need no right but to read and, where files of callers are taken, to write below
`splitjob.inputs.Inputs.folder`.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, Self

from splitjob.presigned import expiry
from splitjob_api.settings import Settings

if TYPE_CHECKING:
    from splitjob_io.storage import OpenObject, S3Service

__all__ = ["Link", "OpenFile", "StorageLinks", "StorageLinksError"]


class StorageLinksError(Exception):
    """No URL can be signed now, or no file be read.

    Attributes:
        reason: a sentence; holds no key.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Link(NamedTuple):
    """A URL that is as good as a key to one object, for a while.

    Attributes:
        url: whole, with its signature: a bearer secret.
        expires_at: when it ceases to work; sooner where the credentials behind it do.
        headers: what its signature covers and must be sent with it, by name.
    """

    url: str
    expires_at: datetime
    headers: Mapping[str, str] = MappingProxyType({})


class OpenFile:
    """A file of the bucket that is being read. Its methods may block.

    Args:
        content: from `S3Service.open_object`.

    Attributes:
        size: bytes.
        etag: in quotes.
    """

    def __init__(self, content: "OpenObject") -> None:
        self._content = content
        self.size, self.etag = content.size, content.etag

    def read(self, size: int) -> bytes:
        """Return the next bytes, none at the end.

        Raises:
            StorageLinksError: the bucket broke off.
        """
        with _explained():
            return self._content.read(size)

    def close(self) -> None:
        """Read no further."""
        self._content.close()


class StorageLinks:
    """Signs URLs of one bucket, and reads small files of it. Every method may block.

    Args:
        bucket: its name.
        seconds: how long the URL of a download lasts.
        upload_seconds: how long that of an upload does.
        read_endpoint: where this program reaches it; blank: as callers do.
    """

    def __init__(
        self, bucket: str, seconds: int, upload_seconds: int, read_endpoint: str = ""
    ) -> None:
        self.bucket = bucket
        self._seconds = seconds
        self._upload_seconds = upload_seconds
        self._read_endpoint = read_endpoint
        self._service: S3Service | None = None
        self._reader: S3Service | None = None

    @classmethod
    def from_settings(cls, settings: Settings) -> Self | None:
        """Return the links of an installation; None where the API has no access to the bucket."""
        if not settings.s3_bucket:
            return None
        return cls(
            settings.s3_bucket,
            settings.download_url_seconds,
            settings.upload_url_seconds,
            settings.s3_read_endpoint.strip(),
        )

    def download(self, key: str, file_name: str, *, head_only: bool = False) -> Link:
        """Return a URL to GET an object with.

        Args:
            key: the object.
            file_name: what a browser shall call it.
            head_only: it is for HEAD instead.

        Raises:
            StorageLinksError: there are no credentials to sign with.
        """
        with _explained():
            url = self._bucket_service().generate_presigned_get_url(
                key, self._seconds, download_name=file_name, head_only=head_only
            )
        return _link(url)

    def open(self, key: str) -> OpenFile | None:
        """Return an object to be read; None: there is none.

        Raises:
            StorageLinksError: the bucket cannot be reached, or says no.
        """
        with _explained():
            found = self._reading_service().open_object(key)
        return OpenFile(found) if found else None

    def _reading_service(self) -> "S3Service":
        if not self._read_endpoint:
            return self._bucket_service()
        if self._reader is None:
            from splitjob_io.storage import BRIEF, S3Service  # noqa: PLC0415 - see _bucket_service

            settings = self._bucket_service().settings
            there = settings.model_copy(update={"s3_endpoint": self._read_endpoint})
            self._reader = S3Service(there, patience=BRIEF)
        return self._reader

    def upload(self, key: str, size: int) -> Link:
        """Return a URL to PUT one new object with, of this size to the byte.

        Args:
            key: the object; nothing that is there already is replaced.
            size: bytes.

        Raises:
            StorageLinksError: there are no credentials to sign with.
        """
        with _explained():
            service = self._bucket_service()
            url = service.generate_presigned_put_url(
                key, self._upload_seconds, content_length=size, if_absent=True
            )
        signed = {"Content-Length": str(size), "If-None-Match": "*", **service.upload_headers}
        return _link(url)._replace(headers=signed)

    def _bucket_service(self) -> "S3Service":
        """Return the bucket, with boto3 behind it: 30 MB that no other call needs."""
        if self._service is None:
            from splitjob_io.storage import BRIEF, S3Service  # noqa: PLC0415

            self._service = S3Service(patience=BRIEF)
        return self._service


def _link(url: str) -> Link:
    ends = expiry(url)
    if ends is None:
        raise StorageLinksError("a signed URL does not say when it ends")
    return Link(url, ends)


@contextmanager
def _explained() -> Iterator[None]:
    from splitjob_io.storage import StorageError  # noqa: PLC0415 - see StorageLinks

    try:
        yield
    except StorageError as error:
        raise StorageLinksError(str(error)) from None
