"""What is read from a bucket: objects, and which there are."""

import json
from collections.abc import Callable
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

from boto3.s3.transfer import TransferConfig

from splitjob_io.storage.bucket import Bucket
from splitjob_io.storage.errors import StorageError
from splitjob_io.storage.objects import (
    ObjectInfo,
    ObjectMetadata,
    OpenObject,
    StoredObject,
    listed,
)

__all__ = ["ObjectReader"]


class ObjectReader(Bucket):
    """Reads objects, and lists them."""

    def download_file(
        self,
        s3_key: str,
        local_path: str | Path,
        on_received: Callable[[int], None] | None = None,
    ) -> str:
        """Download an object into a file, folders made as needed; return the file's path.

        Args:
            s3_key: the object.
            local_path: the file.
            on_received: is told of each piece how many bytes it has, by several threads; what it
                raises ends the download.
        """
        Path(local_path).parent.mkdir(parents=True, exist_ok=True)
        with self._speaking_of("download", s3_key):
            self.client.download_file(self.bucket, s3_key, str(local_path), Callback=on_received)
        return str(local_path)

    def file_exists(self, s3_key: str) -> bool:
        """Return whether there is an object of that key."""
        try:
            self.get_object_metadata(s3_key)
        except StorageError as error:
            if error.missing:
                return False
            raise
        return True

    def list_objects(self, prefix: str = "") -> list[ObjectInfo]:
        """Return every object whose key begins with a prefix, in key order."""
        with self._speaking_of("list", prefix):
            pages = self.client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=prefix
            )
            return [listed(one) for page in pages for one in page.get("Contents", [])]

    def list_page(self, prefix: str, after: str = "") -> list[ObjectInfo]:
        """Return at most a thousand objects whose keys begin with a prefix, in key order.

        Args:
            prefix: of their keys.
            after: the last key of the page before; blank: the first page.
        """
        with self._speaking_of("list", prefix):
            page = self.client.list_objects_v2(
                Bucket=self.bucket, Prefix=prefix, **({"StartAfter": after} if after else {})
            )
        return [listed(one) for one in page.get("Contents", [])]

    def get_object_metadata(self, s3_key: str) -> ObjectMetadata:
        """Return what is known of an object without reading it."""
        with self._speaking_of("look at", s3_key):
            answer = self.client.head_object(Bucket=self.bucket, Key=s3_key)
        return ObjectMetadata(
            size=answer["ContentLength"],
            content_type=answer.get("ContentType", ""),
            content_encoding=answer.get("ContentEncoding", ""),
            last_modified=answer["LastModified"],
            etag=answer["ETag"].strip('"'),
            metadata=dict(answer.get("Metadata", {})),
        )

    def get_object(self, s3_key: str) -> bytes:
        """Return the content of an object; meant for small ones."""
        content = BytesIO()
        # One request, begun again by the transfer where the body breaks off.
        one_part = TransferConfig(use_threads=False)
        with self._speaking_of("read", s3_key):
            self.client.download_fileobj(self.bucket, s3_key, content, Config=one_part)
        return content.getvalue()

    def get_json(self, s3_key: str) -> Any | None:  # noqa: ANN401 - JSON
        """Return what a JSON object holds, or None where there is no such object.

        Raises:
            StorageError: it cannot be read, or is not JSON.
        """
        try:
            content = self.get_object(s3_key)
        except StorageError as error:
            if error.missing:
                return None
            raise
        try:
            return json.loads(content)
        except ValueError:
            raise StorageError(f"{self.url(s3_key)} is not JSON", "NotJson", 422) from None

    def read_object(self, s3_key: str) -> StoredObject | None:
        """Return a small object with its ETag, or None where there is none of that key."""
        opened = self.open_object(s3_key)
        if opened is None:
            return None
        try:
            return StoredObject(opened.read(opened.size), opened.etag)
        finally:
            opened.close()

    def open_object(self, s3_key: str) -> OpenObject | None:
        """Return an object whose content is read piece by piece, or None where there is none."""
        try:
            with self._speaking_of("read", s3_key):
                answer = self.client.get_object(Bucket=self.bucket, Key=s3_key)
        except StorageError as error:
            if error.missing:
                return None
            raise
        return OpenObject(
            answer["Body"],
            answer["ContentLength"],
            answer["ETag"],
            partial(self._speaking_of, "read", s3_key),
        )
