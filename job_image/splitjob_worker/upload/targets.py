"""Where the stems go: the installation's bucket, or the caller's own presigned URLs.

The manifest goes last. In the bucket it is written only if absent, or over the reservation that the
operator made for this job: where a worker finishes just as the operator gives the job up, exactly
one of them wins.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Protocol

import httpx
from pydantic import ValidationError

from splitjob.egress import Egress
from splitjob.errors import ErrorCode, Failure
from splitjob.presigned import expiry
from splitjob.result import Manifest
from splitjob_io.certificates import certificate_problem
from splitjob_io.deadline import Deadline
from splitjob_io.safe_http import ForbiddenTargetError, client
from splitjob_io.storage import S3Service, StorageError, UploadedPart
from splitjob_worker.cancellation import CancelToken, SupersededError
from splitjob_worker.settings import WorkerSettings
from splitjob_worker.upload.multipart import MultipartUpload

MANIFEST = "manifest.json"
ATTEMPTS = 5
FIRST_WAIT = 0.5
STEP_SECONDS = 60.0  # connecting, or one silence of the other side
# A presigned upload may take this long, all its attempts together, and as long as its bytes take
# at the slowest rate.
GRACE_SECONDS = ATTEMPTS * STEP_SECONDS
MIN_BYTES_PER_SECOND = 32 << 10
_BLOCK = 64 << 10  # small, since the deadline is checked between two of them


class UploadTarget(Protocol):
    """Where stems go.

    Attributes:
        bucket: the bucket's name; empty for the caller's own URLs.
    """

    bucket: str

    def check_before_work(self) -> None:
        """Check, before any work is done, that its result can be stored.

        Raises:
            SupersededError: the job's outcome is recorded already.
            Failure: `upload_failed`: a presigned URL has expired.
        """

    def upload_file(self, path: Path, content_type: str) -> None:
        """Upload the file of one stem, or a waveform.

        Raises:
            Failure: `upload_failed`.
        """

    def create_multipart_upload(self, path: Path, content_type: str) -> MultipartUpload | None:
        """Start to upload the file of one stem in parts; None: only whole files are taken here."""

    def write_manifest_if_first(self, manifest: Manifest) -> None:
        """Record the job's outcome.

        Raises:
            SupersededError: one is recorded already.
        """


def open_target(settings: WorkerSettings, prefix: str, cancel: CancelToken) -> UploadTarget:
    """Return where the stems of a job go.

    Args:
        settings: the request's, which names upload URLs or none.
        prefix: of the job's objects in the bucket (`splitjob.result.storage_prefix`).
        cancel: ends the pause between two attempts.

    Raises:
        Failure: `worker_config`: no bucket is configured, or the Secret lacks a URL or headers.
    """
    if settings.request.uploads:
        puts = {
            name: PresignedPut(settings.url_of(upload), settings.headers_of(name, upload))
            for name, upload in settings.request.uploads.items()
        }
        return PresignedUrls(puts, settings.egress, cancel)
    return Bucket(open_storage(), prefix, settings.job_uid, settings.request.submission_id)


def open_storage() -> S3Service:
    """Return the installation's bucket.

    Raises:
        Failure: `worker_config`: none is configured.
    """
    try:
        return S3Service()
    except (StorageError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise Failure(ErrorCode.WORKER_CONFIG, f"the bucket is not configured: {reason}") from None


class Bucket:
    """The installation's own bucket.

    Args:
        storage: the bucket.
        prefix: of the job's objects (`splitjob.result.storage_prefix`).
        job_uid: the SplitJob's uid.
        submission_id: of the request; None: it has none.
    """

    def __init__(
        self, storage: S3Service, prefix: str, job_uid: str, submission_id: str | None = None
    ) -> None:
        self.bucket = storage.bucket
        self._storage = storage
        self._prefix = prefix
        self._manifest_key = f"{prefix}/{MANIFEST}"
        self._job_uid, self._submission_id = job_uid, submission_id

    def check_before_work(self) -> None:
        """Check that the bucket holds no manifest of this job; see `UploadTarget`.

        Any manifest counts, whoever wrote it: the operator reserves the place where something is in
        the way, before it starts a worker, and a worker left over from an earlier job must replace
        nothing.
        """
        with _storage_errors_as_failures():
            self._reservation()

    def upload_file(self, path: Path, content_type: str) -> None:
        """Upload the file of one stem, or a waveform."""
        with _storage_errors_as_failures():
            self._storage.upload_file(path, f"{self._prefix}/{path.name}", content_type)

    def create_multipart_upload(self, path: Path, content_type: str) -> "BucketMultipartUpload":
        """Start to upload the file of one stem in parts."""
        return BucketMultipartUpload(self._storage, f"{self._prefix}/{path.name}", content_type)

    def write_manifest_if_first(self, manifest: Manifest) -> None:
        """Write the manifest unless there is one; see `UploadTarget`."""
        body = encode(manifest)
        with _storage_errors_as_failures():
            if self._storage.put_if_absent(self._manifest_key, body):
                return
            etag = self._reservation()
            if not (etag and self._storage.put_if_unchanged(self._manifest_key, body, etag)):
                raise SupersededError

    def _reservation(self) -> str | None:
        """Return the ETag of this job's reservation, or None where nothing is in its place.

        Raises:
            SupersededError: anything else is there.
        """
        stored = self._storage.read_object(self._manifest_key)
        if stored is None:
            return None
        try:
            found = Manifest.model_validate_json(stored.content)
        except ValidationError:
            raise SupersededError from None
        if found.status != "reserved" or not found.is_of(self._job_uid, self._submission_id):
            raise SupersededError
        return stored.etag


class BucketMultipartUpload:
    """One object on its way into the bucket in parts; see `multipart.MultipartUpload`.

    Args:
        storage: the bucket.
        key: of the object.
        content_type: of the object.
    """

    def __init__(self, storage: S3Service, key: str, content_type: str) -> None:
        self._storage, self._key = storage, key
        self._parts: dict[int, UploadedPart] = {}
        with _storage_errors_as_failures():
            self._upload_id = storage.create_multipart_upload(key, content_type)

    def upload_part(self, number: int, body: bytes) -> None:
        """Upload a part."""
        with _storage_errors_as_failures(may_be_gone=True):
            self._parts[number] = self._storage.upload_part(
                self._key, self._upload_id, number, body
            )

    def complete(self) -> None:
        """Make one object of the parts."""
        with _storage_errors_as_failures(may_be_gone=True):
            self._storage.complete_multipart_upload(self._key, self._upload_id, self._parts)

    def abort(self) -> None:
        """Delete the parts uploaded so far."""
        with _storage_errors_as_failures():
            self._storage.abort_multipart_upload(self._key, self._upload_id)


@dataclass(frozen=True)
class PresignedPut:
    """A URL that the caller presigned, and the headers that go with it: secrets, both of them."""

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def expired_at(self) -> datetime | None:
        """When it expired, in UTC; None: it has not, or does not say."""
        end = expiry(self.url)
        return end if end is not None and end <= datetime.now(UTC) else None


class PresignedUrls:
    """URLs that the caller presigned, one per file and perhaps one for the manifest.

    Args:
        puts: by the stem's name, `<stem>.waveform`, and `manifest`.
        egress: which addresses besides public ones, and through which proxies.
        cancel: ends the pause between two attempts.
    """

    bucket = ""

    def __init__(
        self, puts: Mapping[str, PresignedPut], egress: Egress, cancel: CancelToken
    ) -> None:
        self._puts = puts
        self._egress = egress
        self._cancel = cancel

    def check_before_work(self) -> None:
        """Check that no URL has expired; there is nothing to read, they can only be written to."""
        for name, put in self._puts.items():
            if put.expired_at:
                raise _refused(name, _expired(put.expired_at), retryable=False)

    def upload_file(self, path: Path, _content_type: str) -> None:
        """Upload the file of one stem, or a waveform.

        Only the headers given are sent: another content type than a signed one would be refused.
        """
        put = self._puts.get(path.stem)
        if put is None:
            raise Failure(
                ErrorCode.UPLOAD_FAILED,
                f"the request names no upload URL for {path.stem}",
                retryable=False,
            )
        self._put(put, path.stem, path.stat().st_size, lambda: _blocks(path))

    def create_multipart_upload(self, _path: Path, _content_type: str) -> None:
        """Return None: a presigned PUT takes a whole file whose length is known first."""

    def write_manifest_if_first(self, manifest: Manifest) -> None:
        """Upload the manifest, where there is a URL for it."""
        body = encode(manifest)
        if "manifest" in self._puts:
            self._put(self._puts["manifest"], "manifest", len(body), lambda: iter([body]))

    def _put(
        self, put: PresignedPut, what: str, size: int, body: Callable[[], Iterator[bytes]]
    ) -> None:
        """Send a body, again where that may help.

        Raises:
            Failure: `upload_failed`.
            Cancelled: told to stop.
        """
        seconds = GRACE_SECONDS + size / MIN_BYTES_PER_SECOND
        deadline = Deadline(seconds)
        failure = _refused(what, "nothing was tried", retryable=True)
        for attempt in range(ATTEMPTS):
            if attempt:
                self._cancel.sleep(FIRST_WAIT * 2**attempt)
            try:
                status = self._send(put, size, body(), deadline)
            except ForbiddenTargetError as refused:
                raise _refused(what, str(refused), retryable=False) from None
            except httpx.HTTPError as error:
                if not deadline.left:
                    reason = f"it was not done within {seconds:.0f} s"
                    raise _refused(what, reason, retryable=True) from None
                failure = _refused(what, _no_answer(error), retryable=True)
                continue
            if 200 <= status < 300:
                return
            may_pass = status in {408, 429} or status >= 500
            failure = _refused(what, _reason(put, status), retryable=may_pass)
            if not may_pass:
                break
        raise failure

    def _send(self, put: PresignedPut, size: int, body: Iterator[bytes], deadline: Deadline) -> int:
        """Return the answer's status; its body, which may have no end, is not read."""
        headers = {**put.headers, "Content-Length": str(size)}
        with (
            client(self._egress, timeout=STEP_SECONDS, deadline=deadline) as http,
            http.stream("PUT", put.url, content=body, headers=headers) as answer,
        ):
            return answer.status_code


def encode(manifest: Manifest) -> bytes:
    """Return the manifest as it lies in the bucket."""
    return manifest.model_dump_json(by_alias=True, exclude_none=True, indent=2).encode()


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            yield block


def _refused(what: str, why: str, *, retryable: bool) -> Failure:
    return Failure(
        ErrorCode.UPLOAD_FAILED,
        f"the upload of {what} to the URL given for it failed: {why}",
        retryable=retryable,
    )


def _no_answer(error: httpx.HTTPError) -> str:
    """Return why a storage gave no answer, with nothing of the URL but its host."""
    if isinstance(error, httpx.ProxyError):
        return str(error)
    return certificate_problem(error, error.request.url.host) or type(error).__name__


def _reason(put: PresignedPut, status: int) -> str:
    """Return why a storage may have refused an upload, by the status it answered with."""
    if put.expired_at:
        return _expired(put.expired_at)
    if status == HTTPStatus.FORBIDDEN and put.headers:
        names = ", ".join(sorted(put.headers))
        return f"the answer was {status}: was it signed for other values of its headers ({names})?"
    return f"the answer was {status}"


def _expired(end: datetime) -> str:
    return f"the URL expired at {end:%Y-%m-%dT%H:%M:%SZ}"


@contextmanager
def _storage_errors_as_failures(*, may_be_gone: bool = False) -> Iterator[None]:
    """Turn an error of the bucket into a failure of the job.

    Args:
        may_be_gone: a 404 is worth another attempt: a multipart upload is gone when somebody else
            aborted it, and when it was completed and the answer was lost.
    """
    try:
        yield
    except StorageError as error:
        retryable = error.retryable or (may_be_gone and error.status == HTTPStatus.NOT_FOUND)
        said = f"{error}{error.advice}"
        raise Failure(ErrorCode.UPLOAD_FAILED, said, retryable=retryable) from None
