"""The bucket: everything this project does with S3, in one class.

S3Service       the fifteen methods of docs/contract.md, section 6; four for manifests
                (`put_if_absent`, `put_if_unchanged`, `read_object`, `get_json`); `open_object` to
                pass one on; `list_page` for long listings; four for multipart uploads
StorageError    what went wrong, whether trying again may help; never a key or a signed URL

Works with AWS S3, R2, MinIO, LocalStack, versitygw: signature version 4 always (botocore would
presign with version 2 for custom endpoints in us-east-1), request checksums only where the
operation requires one (R2 refuses the others), path-style addresses for custom endpoints.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from functools import cached_property, partial
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypedDict
from urllib.parse import urlsplit

import boto3
import botocore.session
from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ProxyConnectionError
from botocore.loaders import Loader

from splitjob.configuration import read_settings
from splitjob.egress import EgressProxies
from splitjob.storage_settings import StorageSettings
from splitjob.urls import DEFAULT_PORTS
from splitjob_io import bucket_demands
from splitjob_io.certificates import certificate_problem
from splitjob_io.proxy_tunnel import tunnel_problem

__all__ = [
    "BRIEF",
    "ObjectInfo",
    "ObjectMetadata",
    "OpenObject",
    "Patience",
    "S3Service",
    "StorageError",
    "StoredObject",
    "UploadedPart",
]

ATTEMPTS = 5
SILENT_SECONDS = 60
DELETE_BATCH = 1000  # what one DeleteObjects request may name
MISSING = {"404", "NoSuchKey", "NotFound"}
PRECONDITION_FAILED = {"412", "PreconditionFailed"}
CONFLICT = {"409", "ConditionalRequestConflict"}
DESCRIPTIONS = Loader()  # of S3, for all clients of this process: a tenth of a second to read


class Patience(NamedTuple):
    """How long a storage that does not answer is waited for.

    Attributes:
        attempts: at each request.
        silent_seconds: without a byte, after which an attempt is given up.
    """

    attempts: int
    silent_seconds: float


BRIEF = Patience(2, 10)  # where somebody waits, or other work does


class StorageError(Exception):
    """An operation on the bucket failed, after retries.

    Args:
        message: what failed, on which object, with which answer. Never a key or a signed URL.
        code: the storage's own error code, e.g. `AccessDenied`; blank where nothing answered.
        status: the HTTP status; 0 where nothing answered.
    """

    def __init__(self, message: str, code: str = "", status: int = 0) -> None:
        super().__init__(message)
        self.code = code
        self.status = status

    @property
    def retryable(self) -> bool:
        """Whether the same request may succeed later: no answer, overload, or a server error."""
        return self.status in {0, 408, 429} or self.status >= 500

    @property
    def missing(self) -> bool:
        """Whether it is the object that is not there, not its bucket, nor the key's user."""
        return self.code in MISSING


class ObjectInfo(TypedDict):
    """One object of a listing."""

    key: str
    size: int
    last_modified: datetime
    etag: str


class ObjectMetadata(TypedDict):
    """What is known of an object without reading it."""

    size: int
    content_type: str
    content_encoding: str
    last_modified: datetime
    etag: str
    metadata: dict[str, str]


# Of one part: its ETag and, where one was asked for, its checksum, by the names that S3 gives them.
UploadedPart = dict[str, str]
_OF_A_PART = ("ETag", "ChecksumCRC32", "ChecksumSHA256")


class StoredObject(NamedTuple):
    """A small object, and which state of it was read.

    Attributes:
        content: all of it.
        etag: what `put_if_unchanged` knows this state by.
    """

    content: bytes
    etag: str


class OpenObject:
    """An object that is being read.

    Args:
        body: of botocore.
        size: bytes.
        etag: in quotes.
        speaking: turns what reading raises into `StorageError`.
    """

    def __init__(
        self,
        body: Any,  # noqa: ANN401 - as the client
        size: int,
        etag: str,
        speaking: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self.size, self.etag = size, etag
        self._body, self._speaking = body, speaking

    def read(self, size: int) -> bytes:
        """Return the next bytes, none at the end.

        Raises:
            StorageError: the storage broke off.
        """
        with self._speaking():
            piece: bytes = self._body.read(size)
        return piece

    def close(self) -> None:
        """Read no further."""
        self._body.close()


class S3Service:
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

    def __init__(
        self,
        settings: StorageSettings | None = None,
        bucket: str = "",
        patience: Patience | None = None,
    ) -> None:
        self.settings = settings or read_settings(StorageSettings)
        self.bucket = bucket or self.settings.s3_bucket
        self._patience = patience or Patience(ATTEMPTS, SILENT_SECONDS)
        if not self.bucket:
            raise StorageError("no bucket is configured: set S3_BUCKET")

    @cached_property
    def client(self) -> Any:  # noqa: ANN401 - boto3 builds its clients' classes at run time
        """The boto3 client behind it."""
        s = self.settings
        style = s.s3_addressing_style
        if style == "auto" and s.s3_endpoint:
            style = "path"
        client = _session().client(
            "s3",
            endpoint_url=s.s3_endpoint or None,
            region_name=s.s3_region,
            aws_access_key_id=s.s3_access_key_id or None,
            aws_secret_access_key=s.s3_secret_access_key.get_secret_value() or None,
            config=Config(
                signature_version="s3v4",
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                retries={"total_max_attempts": self._patience.attempts, "mode": "standard"},
                connect_timeout=5,
                read_timeout=self._patience.silent_seconds,
                max_pool_connections=16,
                s3={"addressing_style": style},
                proxies={} if _is_direct(s.s3_endpoint) else None,
            ),
        )
        bucket_demands.attach(client, s)
        return client

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

    def list_objects(self, prefix: str = "") -> list[ObjectInfo]:
        """Return every object whose key begins with a prefix, in key order."""
        with self._speaking_of("list", prefix):
            pages = self.client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=prefix
            )
            return [_info(one) for page in pages for one in page.get("Contents", [])]

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
        return [_info(one) for one in page.get("Contents", [])]

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

    def generate_presigned_put_url(
        self,
        s3_key: str,
        expires_in: int = 3600,
        content_type: str = "",
        content_length: int | None = None,
        *,
        if_absent: bool = False,
    ) -> str:
        """Return a URL that lets its bearer PUT one object for `expires_in` seconds.

        The PUT must carry `upload_headers` too, where the settings ask for encryption.

        Args:
            s3_key: the object.
            expires_in: seconds; 604800 at most.
            content_type: of the object; signed, so the PUT must say the same.
            content_length: bytes; signed, so that the storage takes no other size. None: any.
            if_absent: sign `If-None-Match: *`, with which nothing that is there is replaced.
        """
        signed: dict[str, Any] = {**_content_type(content_type)}
        if content_length is not None:
            signed["ContentLength"] = content_length
        if if_absent:
            signed["IfNoneMatch"] = "*"
        return self._presign("put_object", s3_key, expires_in, signed)

    def generate_presigned_get_url(
        self, s3_key: str, expires_in: int = 3600, download_name: str = ""
    ) -> str:
        """Return a URL that lets its bearer GET one object for `expires_in` seconds.

        Args:
            s3_key: the object.
            expires_in: seconds; 604800 at most.
            download_name: the file name a browser shall save it under.
        """
        as_file = {"ResponseContentDisposition": f'attachment; filename="{download_name}"'}
        return self._presign("get_object", s3_key, expires_in, as_file if download_name else {})

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

    def read_object(self, s3_key: str) -> StoredObject | None:
        """Return a small object with its ETag, or None where there is none of that key."""
        opened = self.open_object(s3_key)
        if opened is None:
            return None
        try:
            return StoredObject(opened.read(opened.size), opened.etag)
        finally:
            opened.close()

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
                if error.code in CONFLICT and conflicts < ATTEMPTS:
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

    def _written(self, content_type: str) -> dict[str, str]:
        """Return the parameters that all calls have which write an object."""
        return _content_type(content_type) | bucket_demands.checksum_of(self.settings)

    def _presign(
        self, operation: str, s3_key: str, expires_in: int, extra: Mapping[str, Any]
    ) -> str:
        with self._speaking_of("sign a URL for", s3_key):
            url: str = self.client.generate_presigned_url(
                operation,
                Params={"Bucket": self.bucket, "Key": s3_key, **extra},
                ExpiresIn=expires_in,
            )
        return url

    @contextmanager
    def _speaking_of(self, deed: str, s3_key: str = "") -> Iterator[None]:
        """Turn boto3's many exceptions into one that says what was attempted on what."""
        try:
            yield
        except ClientError as error:
            answer = error.response
            code = str(answer.get("Error", {}).get("Code", ""))
            status = int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
            raise StorageError(
                f"cannot {deed} {self.url(s3_key)}: the storage answered {status} {code}",
                code,
                status,
            ) from None
        except Boto3Error as error:
            cause = error.__cause__ or error.__context__
            if isinstance(cause, ClientError):
                with self._speaking_of(deed, s3_key):
                    raise cause from None
            raise StorageError(
                f"cannot {deed} {self.url(s3_key)}: {type(cause or error).__name__}"
            ) from None
        except BotoCoreError as error:
            host = urlsplit(str(error.kwargs.get("endpoint_url", ""))).hostname
            why = certificate_problem(error, host) or type(error).__name__
            if isinstance(error, ProxyConnectionError):
                why = tunnel_problem(error)
            raise StorageError(
                f"cannot {deed} {self.url(s3_key)}: {why}", type(error).__name__
            ) from None


def _session() -> boto3.session.Session:
    """Return a new session, which looks for keys itself; the descriptions are shared."""
    session = botocore.session.get_session()
    session.register_component("data_loader", DESCRIPTIONS)
    return boto3.session.Session(botocore_session=session)


def _is_direct(endpoint: str) -> bool:
    """Return whether NO_PROXY exempts an endpoint: botocore's own reading knows no networks."""
    if not endpoint:
        return False
    place = urlsplit(endpoint)
    port = place.port or DEFAULT_PORTS[place.scheme]
    proxies = EgressProxies.from_environment(os.environ)
    return proxies.leading_to(place.scheme, place.hostname or "", port) is None


def _info(found: Mapping[str, Any]) -> ObjectInfo:
    return ObjectInfo(
        key=found["Key"],
        size=found["Size"],
        last_modified=found["LastModified"],
        etag=found["ETag"].strip('"'),
    )


def _content_type(content_type: str) -> dict[str, str]:
    return {"ContentType": content_type} if content_type else {}
