"""Downloads a source out of the installation's own bucket: a file that came by `POST /uploads`."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path

from splitjob.errors import ErrorCode, Failure
from splitjob.inputs import Inputs
from splitjob_io.storage import S3Service, StorageError
from splitjob_worker.cancellation import CancelToken
from splitjob_worker.scratch import Scratch, check_source
from splitjob_worker.source.content_encoding import decode_content
from splitjob_worker.source.fetch import too_large

GONE = (
    "the file from POST /uploads is not there: it was never sent, or deleted at the end of another "
    "job that used it, or a day after it came. Send it again with POST /uploads"
)


class StoredDownload:
    """The download of one file.

    Args:
        storage: the bucket.
        prefix: STORAGE_PREFIX.
        url: its `s3://` address.
        target: the file to write.
        max_bytes: how large it may be.
        scratch: where `target` is.
        cancel: ends the download.
        on_progress: is told the share received, 0 to 1.
    """

    def __init__(
        self,
        storage: S3Service,
        prefix: str,
        url: str,
        target: Path,
        max_bytes: int,
        scratch: Scratch,
        cancel: CancelToken,
        on_progress: Callable[[float], None],
    ) -> None:
        self._storage = storage
        self._prefix = prefix
        self._url = url
        self._target = target
        self._max_bytes = max_bytes
        self._scratch = scratch
        self._cancel = cancel
        self._on_progress = on_progress
        self._received = 0
        self._size = 0
        self._lock = threading.Lock()

    def run(self) -> None:
        """Download, and undo the encoding that the file is stored with.

        Raises:
            Failure: `source_*`; `worker_storage` where it will not fit; `audio_unreadable` where
                its encoding cannot be undone.
            Cancelled: told to stop.
        """
        key = Inputs(self._storage.bucket, self._prefix).key_of(self._url)
        if key is None:
            message = "the source is none of the files from POST /uploads in this bucket"
            raise Failure(ErrorCode.SOURCE_FORBIDDEN, message)
        with _as_failures():
            metadata = self._storage.get_object_metadata(key)
            self._size = metadata["size"]
            self._check_size(self._size)
            check_source(self._scratch, self._size)
            self._storage.download_file(key, self._target, self._on_received)
        encoding = metadata["content_encoding"]
        decode_content(self._target, encoding, self._check_size, self._cancel.check)

    def _check_size(self, size: int) -> None:
        if size > self._max_bytes:
            raise too_large(self._max_bytes)

    def _on_received(self, count: int) -> None:
        self._cancel.check()
        with self._lock:
            self._received += count
            share = min(1.0, self._received / self._size)
            self._on_progress(share)


@contextmanager
def _as_failures() -> Iterator[None]:
    try:
        yield
    except StorageError as error:
        if error.missing:
            raise Failure(ErrorCode.SOURCE_NOT_FOUND, GONE) from None
        if error.retryable:
            raise Failure(ErrorCode.SOURCE_UNAVAILABLE, str(error)) from None
        # Without s3:ListBucket what is not there is forbidden too.
        hint = f"{error}. It is not there, or the worker's keys may not read it"
        denied = error.status == HTTPStatus.FORBIDDEN
        raise Failure(ErrorCode.SOURCE_NOT_FOUND, hint if denied else str(error)) from None
