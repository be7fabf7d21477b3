"""The stems leave: into the bucket, or to the caller's own presigned URLs. All storage is here.

The manifest goes last. In the bucket it is written only if absent: of a worker that finishes and an
operator that gave the job up, one wins.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, Self

import httpx

from splitjob.addresses import Network
from splitjob.errors import ErrorCode, Failure
from splitjob.result import Manifest
from splitjob.safe_http import Forbidden, client
from splitjob.storage import S3Service, StorageError
from splitjob_worker.encode import EncodedStem
from splitjob_worker.stopping import Stop

MANIFEST = "manifest.json"
PARALLEL = 4
ATTEMPTS = 5
FIRST_WAIT = 0.5
_BLOCK = 1 << 20
_POLL_SECONDS = 0.1


class Superseded(Exception):  # noqa: N818 - reads as what happened
    """Somebody else has settled this job: another attempt, or the operator with a tombstone."""


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

    def settle(self, manifest: Manifest) -> None:
        """Write the manifest unless one is there; see `Target`."""
        body = encode(manifest)
        with _as_failure():
            if not self._storage.put_if_absent(f"{self._prefix}/{MANIFEST}", body):
                raise Superseded


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

    def settle(self, manifest: Manifest) -> None:
        """Upload the manifest, where there is a URL for it."""
        body = encode(manifest)
        if "manifest" in self._urls:
            self._put(self._urls["manifest"], "manifest", len(body), lambda: iter([body]))

    def _put(self, url: str, what: str, size: int, body: Callable[[], Iterator[bytes]]) -> None:
        failure = _refused(what, "nothing was tried", retryable=True)
        for attempt in range(ATTEMPTS):
            if attempt:
                self._stop.wait(FIRST_WAIT * 2**attempt)
            try:
                status = self._send(url, size, body())
            except Forbidden as refused:
                raise _refused(what, str(refused), retryable=False) from None
            except httpx.HTTPError as error:
                failure = _refused(what, type(error).__name__, retryable=True)
                continue
            if 200 <= status < 300:
                return
            passing = status in {408, 429} or status >= 500
            failure = _refused(what, f"the answer was {status}", retryable=passing)
            if not passing:
                break
        raise failure

    def _send(self, url: str, size: int, body: Iterator[bytes]) -> int:
        """Return the answer's status; its body, which may have no end, is not read."""
        with (
            client(self._networks, timeout=60.0) as http,
            http.stream("PUT", url, content=body, headers={"Content-Length": str(size)}) as answer,
        ):
            return answer.status_code


class Uploads:
    """Uploads under way, several at once: each begins as soon as its file is there.

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

    def add(self, stem: EncodedStem) -> None:
        """Begin to upload a file; from any thread."""
        self._tasks.append(self._pool.submit(self._put, stem.path))

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

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _put(self, path: Path) -> None:
        self._stop.check()
        self._target.put(path, self._content_type)


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
def _as_failure() -> Iterator[None]:
    try:
        yield
    except StorageError as error:
        raise Failure(ErrorCode.UPLOAD_FAILED, str(error), retryable=error.retryable) from None
