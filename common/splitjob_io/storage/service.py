"""All work with one bucket, in one class."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from splitjob_io.storage.conditional_writes import ConditionalWriter
from splitjob_io.storage.errors import StorageError
from splitjob_io.storage.multipart import MultipartUploader
from splitjob_io.storage.url_signer import UrlSigner

__all__ = ["S3Service"]

DELETE_BATCH = 1000  # what one DeleteObjects request may name


class S3Service(ConditionalWriter, MultipartUploader, UrlSigner):
    """One bucket, with retries. Safe to share between threads.

    Every method raises `StorageError` where the storage refuses or cannot be reached, unless it
    says otherwise. Network errors, 5xx and throttling were then tried several times already.

    Args:
        settings: where the bucket is; from the environment by default.
        bucket: another bucket than the settings' one.
        patience: with a storage that does not answer; by default five minutes, which outlast most
            of its outages.

    Raises:
        splitjob.configuration.ConfigurationError: the environment cannot be used.
    """

    def upload_file(self, file_path: str | Path, s3_key: str, content_type: str = "") -> str:
        """Upload a file, in parts where it is large; return its `s3://` URL.

        Raises:
            FileNotFoundError: there is no such file here.
        """
        with self._speaking_of("upload", s3_key):
            self.client.upload_file(
                str(file_path), self.bucket, s3_key, ExtraArgs=self._written(content_type)
            )
        return self.url(s3_key)

    def upload_fileobj(self, file_obj: BinaryIO, s3_key: str, content_type: str = "") -> str:
        """Upload what an open binary file holds from its position on; return its `s3://` URL."""
        with self._speaking_of("upload", s3_key):
            self.client.upload_fileobj(
                file_obj, self.bucket, s3_key, ExtraArgs=self._written(content_type)
            )
        return self.url(s3_key)

    def delete_file(self, s3_key: str) -> bool:
        """Delete an object; one that is not there counts as deleted. Returns True."""
        with self._speaking_of("delete", s3_key):
            self.client.delete_object(Bucket=self.bucket, Key=s3_key)
        return True

    def delete_objects(self, s3_keys: Sequence[str]) -> int:
        """Delete many objects, a thousand a request; return how many were named."""
        for start in range(0, len(s3_keys), DELETE_BATCH):
            batch = s3_keys[start : start + DELETE_BATCH]
            with self._speaking_of("delete", f"{len(batch)} objects"):
                answer = self.client.delete_objects(
                    Bucket=self.bucket,
                    Delete={"Objects": [{"Key": key} for key in batch], "Quiet": True},
                )
            for error in answer.get("Errors", [])[:1]:
                code = str(error.get("Code", ""))
                raise StorageError(f"cannot delete {self.url(str(error.get('Key')))}: {code}", code)
        return len(s3_keys)

    def copy_object(self, source_key: str, dest_key: str) -> str:
        """Copy an object inside the bucket; return the copy's `s3://` URL."""
        with self._speaking_of("copy", source_key):
            self.client.copy({"Bucket": self.bucket, "Key": source_key}, self.bucket, dest_key)
        return self.url(dest_key)

    def get_object_tags(self, s3_key: str) -> dict[str, str]:
        """Return the tags of an object."""
        with self._speaking_of("read the tags of", s3_key):
            answer = self.client.get_object_tagging(Bucket=self.bucket, Key=s3_key)
        return {tag["Key"]: tag["Value"] for tag in answer["TagSet"]}

    def set_object_tags(self, s3_key: str, tags: Mapping[str, str]) -> bool:
        """Put tags in the place of those an object has. Returns True."""
        tag_set = [{"Key": key, "Value": value} for key, value in tags.items()]
        with self._speaking_of("set the tags of", s3_key):
            self.client.put_object_tagging(
                Bucket=self.bucket, Key=s3_key, Tagging={"TagSet": tag_set}
            )
        return True
