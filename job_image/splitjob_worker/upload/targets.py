"""The stems leave: into the bucket, or to the caller's own presigned URLs. All storage is here.

The manifest goes last. In the bucket it is written only if absent: of a worker that finishes and an
operator that gave the job up, one wins.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Protocol, Self

import httpx

from splitjob.addresses import Network
from splitjob.errors import ErrorCode, Failure
from splitjob.result import Manifest
from splitjob_io.certificates import certificate_problem
from splitjob_io.safe_http import Deadline, ForbiddenTargetError, client
from splitjob_io.storage import S3Service, StorageError
from splitjob_worker.stems.encode import EncodedStem
from splitjob_worker.stopping import Stop, Superseded
from splitjob_worker.upload.multipart import EarlyUpload, Parts

MANIFEST = "manifest.json"
PARALLEL = 4
ATTEMPTS = 5
FIRST_WAIT = 0.5
# A presigned upload, all its attempts together, may take this long, and its bytes at this rate.
STEP_SECONDS = 60.0
GRACE_SECONDS = ATTEMPTS * STEP_SECONDS
MIN_BYTES_PER_SECOND = 32 << 10
_BLOCK = 64 << 10  # small: the time is looked at between two of them
_POLL_SECONDS = 0.1
_ABANDON_SECONDS = 3.0


class Target(Protocol):
    """Where stems go.

    Attributes:
        bucket: the bucket's name; empty for the caller's own URLs.
    """

    bucket: str

    def prepare(self) -> None:
        """Look at what is there before any work is done.

        Raises:
            Superseded: the job is settled already.
        """

    def put(self, path: Path, content_type: str) -> None:
        """Upload one stem."""

    def begin(self, path: Path, content_type: str) -> Parts | None:
        """Begin to upload one stem in parts; None: this target takes only whole files."""

    def settle(self, manifest: Manifest) -> None:
        """Write the manifest.

        Raises:
            Superseded: the job is settled already.
        """


class Bucket:
    """The installation's own bucket.

    Args:
        storage: the bucket.
        prefix: `splitjob.result.storage_prefix` of the job.
    """

    def __init__(self, storage: S3Service, prefix: str) -> None:
        self.bucket = storage.bucket
        self._storage = storage
        self._prefix = prefix

    def prepare(self) -> None:
        """Look whether the job is settled already; see `Target`.

        Whatever stands there decides, whoever wrote it: the operator has cleared the place before
        it started this worker, and a worker left over from a former job must clear nothing.
        """
        with _as_failure():
            if self._storage.file_exists(f"{self._prefix}/{MANIFEST}"):
                raise Superseded

    def put(self, path: Path, content_type: str) -> None:
        """Upload one stem."""
        with _as_failure():
            self._storage.upload_file(path, f"{self._prefix}/{path.name}", content_type)

    def begin(self, path: Path, content_type: str) -> "BucketParts":
        """Begin to upload one stem in parts."""
        return BucketParts(self._storage, f"{self._prefix}/{path.name}", content_type)

    def settle(self, manifest: Manifest) -> None:
        """Write the manifest unless one is there; see `Target`."""
        body = encode(manifest)
        with _as_failure():
            if not self._storage.put_if_absent(f"{self._prefix}/{MANIFEST}", body):
                raise Superseded


class BucketParts:
    """One stem on its way into the bucket in parts; see `early_upload.Parts`.

    Args:
        storage: the bucket.
        key: of the stem.
        content_type: of the stem.
    """

    def __init__(self, storage: S3Service, key: str, content_type: str) -> None:
        self._storage, self._key = storage, key
        self._etags: dict[int, str] = {}
        with _as_failure():
            self._upload = storage.create_multipart_upload(key, content_type)

    def put(self, number: int, body: bytes) -> None:
        """Send a part."""
        with _as_failure(may_be_gone=True):
            self._etags[number] = self._storage.upload_part(self._key, self._upload, number, body)

    def complete(self) -> None:
        """Make one object of the parts."""
        with _as_failure(may_be_gone=True):
            self._storage.complete_multipart_upload(self._key, self._upload, self._etags)

    def abort(self) -> None:
        """Give up: nothing of it is left."""
        with _as_failure():
            self._storage.abort_multipart_upload(self._key, self._upload)


class PresignedUrls:
    """URLs that the caller presigned, one per stem and perhaps one for the manifest.

    Args:
        urls: by stem's name, and `manifest`.
        networks: address ranges exempt from the address rules.
        stop: told to stop?
    """

    bucket = ""

    def __init__(self, urls: Mapping[str, str], networks: Sequence[Network], stop: Stop) -> None:
        self._urls = urls
        self._networks = networks
        self._stop = stop

    def prepare(self) -> None:
        """Do nothing: these URLs can only be written to."""

    def put(self, path: Path, content_type: str) -> None:
        """Upload one stem.

        No content type is sent: the signature would have to cover it.
        """
        url = self._urls.get(path.stem)
        if url is None:
            raise Failure(
                ErrorCode.UPLOAD_FAILED,
                f"the request names no upload URL for the stem {path.stem}",
                retryable=False,
            )
        self._put(url, path.stem, path.stat().st_size, lambda: _blocks(path))

    def begin(self, _path: Path, _content_type: str) -> None:
        """Return None: one PUT takes a whole file, and its length comes first."""

    def settle(self, manifest: Manifest) -> None:
        """Upload the manifest, where there is a URL for it."""
        body = encode(manifest)
        if "manifest" in self._urls:
            self._put(self._urls["manifest"], "manifest", len(body), lambda: iter([body]))

    def _put(self, url: str, what: str, size: int, body: Callable[[], Iterator[bytes]]) -> None:
        seconds = GRACE_SECONDS + size / MIN_BYTES_PER_SECOND
        deadline = Deadline(seconds)
        failure = _refused(what, "nothing was tried", retryable=True)
        for attempt in range(ATTEMPTS):
            if attempt:
                self._stop.wait(FIRST_WAIT * 2**attempt)
            try:
                status = self._send(url, size, body(), deadline)
            except ForbiddenTargetError as refused:
                raise _refused(what, str(refused), retryable=False) from None
            except httpx.HTTPError as error:
                if not deadline.left:
                    why = f"it was not done within {seconds:.0f} s"
                    raise _refused(what, why, retryable=True) from None
                why = certificate_problem(error, error.request.url.host) or type(error).__name__
                failure = _refused(what, why, retryable=True)
                continue
            if 200 <= status < 300:
                return
            passing = status in {408, 429} or status >= 500
            failure = _refused(what, f"the answer was {status}", retryable=passing)
            if not passing:
                break
        raise failure

    def _send(self, url: str, size: int, body: Iterator[bytes], deadline: Deadline) -> int:
        """Return the answer's status; its body, which may have no end, is not read."""
        with (
            client(self._networks, timeout=STEP_SECONDS, deadline=deadline) as http,
            http.stream("PUT", url, content=body, headers={"Content-Length": str(size)}) as answer,
        ):
            return answer.status_code


class Uploads:
    """Uploads under way, several at once; hears of the stems' files (`stem_writer.FileWatcher`).

    A context manager; what is still on its way at the end, because something failed, is left behind
    and ends with the process.

    Args:
        target: where to.
        content_type: of each.
        stop: told to stop?
    """

    def __init__(self, target: Target, content_type: str, stop: Stop) -> None:
        self._target, self._content_type, self._stop = target, content_type, stop
        self._pool = ThreadPoolExecutor(max_workers=PARALLEL, thread_name_prefix="upload")
        self._tasks: list[Future[None]] = []
        self._early: dict[Path, EarlyUpload] = {}
        self._all_early: list[EarlyUpload] = []  # also of files that were dropped

    def grown(self, path: Path) -> None:
        """Begin to upload what is there of a file; from the thread that writes it."""
        early = self._early.get(path)
        if early is None:
            early = EarlyUpload(path, lambda: self._target.begin(path, self._content_type))
            self._early[path] = early
            self._all_early.append(early)
        if early.ask():
            self._do(lambda: early.advance(self._stop.check))

    def dropped(self, path: Path) -> None:
        """Forget what went up of a file; from the thread that wrote it."""
        early = self._early.pop(path, None)
        if early is not None:
            early.forget()
            self._do(early.abandon)

    def finished(self, stem: EncodedStem) -> None:
        """Upload a file, or what is left of it; from any thread."""
        self._do(lambda: self._put(stem.path))

    def check(self) -> None:
        """See whether all is well so far.

        Raises:
            Failure: `upload_failed`.
            Stopped: told to stop.
        """
        self._stop.check()
        for task in tuple(self._tasks):
            if task.done():
                task.result()

    def finish(self, on_progress: Callable[[float], None] = lambda _share: None) -> None:
        """Wait until all files are up.

        Args:
            on_progress: hears the share of them that is.

        Raises:
            Failure: `upload_failed`.
            Stopped: told to stop; nothing more is begun.
        """
        left = set(self._tasks)
        while left:
            done, left = wait(left, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED)
            for task in done:
                task.result()
            on_progress(1 - len(left) / len(self._tasks))
            self._stop.check()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        if kind is not None:
            self._abandon_all()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _do(self, work: Callable[[], None]) -> None:
        self._tasks.append(self._pool.submit(work))

    def _put(self, path: Path) -> None:
        self._stop.check()
        early = self._early.get(path)
        if early is not None:
            if early.finish(self._stop.check):
                return
            early.abandon()
        self._target.put(path, self._content_type)

    def _abandon_all(self) -> None:
        """Leave no parts in the bucket, where that can be done in a moment."""
        for early in self._all_early:
            early.forget()
        abandoning = [self._pool.submit(early.abandon) for early in self._all_early]
        wait(abandoning, timeout=_ABANDON_SECONDS)


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


@contextmanager
def _as_failure(*, may_be_gone: bool = False) -> Iterator[None]:
    """Turn what the bucket says into a failure.

    Args:
        may_be_gone: what the work needs may be gone, which another attempt makes good: an upload in
            parts ends when somebody else ends it, and when it is completed but nobody hears of it.
    """
    try:
        yield
    except StorageError as error:
        retryable = error.retryable or (may_be_gone and error.status == HTTPStatus.NOT_FOUND)
        raise Failure(ErrorCode.UPLOAD_FAILED, str(error), retryable=retryable) from None
