"""Uploads in parts, of objects whose length is not known when they begin."""

from collections.abc import Mapping

from splitjob_io import bucket_demands
from splitjob_io.storage.bucket import Bucket
from splitjob_io.storage.errors import StorageError

__all__ = ["MultipartUploader", "UploadedPart"]

# Of one part: its ETag and, where one was asked for, its checksum, by the names that S3 gives them.
UploadedPart = dict[str, str]
_OF_A_PART = ("ETag", "ChecksumCRC32", "ChecksumSHA256")


class MultipartUploader(Bucket):
    """Begins objects, adds their parts, completes or aborts them."""

    def create_multipart_upload(self, s3_key: str, content_type: str = "") -> str:
        """Begin an object that comes in parts; return the upload's id.

        Parts may come in any order. All but the one of the highest number have the same size, at
        least 5 MiB; nothing is seen of the object before `complete_multipart_upload`.
        """
        with self._speaking_of("begin to upload", s3_key):
            answer = self.client.create_multipart_upload(
                Bucket=self.bucket, Key=s3_key, **self._written(content_type)
            )
        return str(answer["UploadId"])

    def upload_part(self, s3_key: str, upload_id: str, number: int, body: bytes) -> UploadedPart:
        """Upload one part, 1 being the first; return what completing the upload needs of it."""
        with self._speaking_of(f"upload part {number} of", s3_key):
            answer = self.client.upload_part(
                Bucket=self.bucket,
                Key=s3_key,
                UploadId=upload_id,
                PartNumber=number,
                Body=body,
                **bucket_demands.checksum_of(self.settings),
            )
        return {name: answer[name] for name in _OF_A_PART if name in answer}

    def complete_multipart_upload(
        self, s3_key: str, upload_id: str, parts: Mapping[int, UploadedPart]
    ) -> None:
        """Make the object of its parts.

        Args:
            s3_key: the object.
            upload_id: from `create_multipart_upload`.
            parts: what `upload_part` returned of each, by its number.
        """
        listed = [{"PartNumber": number, **parts[number]} for number in sorted(parts)]
        with self._speaking_of("complete the upload of", s3_key):
            self.client.complete_multipart_upload(
                Bucket=self.bucket,
                Key=s3_key,
                UploadId=upload_id,
                MultipartUpload={"Parts": listed},
            )

    def abort_multipart_upload(self, s3_key: str, upload_id: str) -> None:
        """Throw away the parts of an object that is not completed; none there is fine."""
        try:
            with self._speaking_of("abort the upload of", s3_key):
                self.client.abort_multipart_upload(
                    Bucket=self.bucket, Key=s3_key, UploadId=upload_id
                )
        except StorageError as error:
            if error.status != 404:
                raise
