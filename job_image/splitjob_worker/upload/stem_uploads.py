"""The uploads of a job's stems: several at once, each file from the moment it begins to grow."""

from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import TYPE_CHECKING, Self

from splitjob_worker.cancellation import CancelToken
from splitjob_worker.stems.output import EncodedStem, WaveformFile
from splitjob_worker.upload.multipart import MultipartStream

if TYPE_CHECKING:  # it loads boto3
    from splitjob_worker.upload.targets import UploadTarget

PARALLEL = 4
JSON = "application/json"
_POLL_SECONDS = 0.1
_ABORT_SECONDS = 3.0


class StemUploads:
    """Uploads the files of the stems; a `stems.output.FileObserver`, and a context manager.

    What is still under way at the end, because something failed, is left to end with the process.

    Args:
        target: where to.
        content_type: of each stem's file.
        cancel: ends the uploads.
    """

    def __init__(self, target: "UploadTarget", content_type: str, cancel: CancelToken) -> None:
        self._target, self._content_type, self._cancel = target, content_type, cancel
        self._pool = ThreadPoolExecutor(max_workers=PARALLEL, thread_name_prefix="upload")
        self._tasks: list[Future[None]] = []
        self._streams: dict[Path, MultipartStream] = {}
        self._all_streams: list[MultipartStream] = []  # also those of discarded files

    def file_grew(self, path: Path) -> None:
        """Upload the parts of a file that are complete; called by the thread that writes it."""
        stream = self._streams.get(path)
        if stream is None:
            stream = MultipartStream(
                path, lambda: self._target.create_multipart_upload(path, self._content_type)
            )
            self._streams[path] = stream
            self._all_streams.append(stream)
        if stream.try_schedule():
            self._submit(lambda: stream.upload_ready_parts(self._cancel.check))

    def file_discarded(self, path: Path) -> None:
        """Abort the upload of a file; called by the thread that wrote it."""
        stream = self._streams.pop(path, None)
        if stream is not None:
            stream.stop()
            self._submit(stream.abort)

    def file_finished(self, stem: EncodedStem) -> None:
        """Upload a file, or what is left of it; called by any thread."""
        self._submit(lambda: self._upload(stem.path))

    def waveform_finished(self, waveform: WaveformFile) -> None:
        """Upload a waveform; called by any thread."""
        self._submit(lambda: self._target.upload_file(waveform.path, JSON))

    def check(self) -> None:
        """Do nothing, unless an upload has failed or the job was cancelled.

        Raises:
            Failure: `upload_failed`.
            Cancelled: told to stop.
        """
        self._cancel.check()
        for task in tuple(self._tasks):
            if task.done():
                task.result()

    def finish(self, on_progress: Callable[[float], None] = lambda _share: None) -> None:
        """Wait until all files are uploaded.

        Args:
            on_progress: is told the share of the uploads that are finished, 0 to 1.

        Raises:
            Failure: `upload_failed`.
            Cancelled: told to stop; nothing more is started.
        """
        left = set(self._tasks)
        while left:
            done, left = wait(left, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED)
            for task in done:
                task.result()
            on_progress(1 - len(left) / len(self._tasks))
            self._cancel.check()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        if kind is not None:
            self._abort_all()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _submit(self, work: Callable[[], None]) -> None:
        self._tasks.append(self._pool.submit(work))

    def _upload(self, path: Path) -> None:
        self._cancel.check()
        stream = self._streams.get(path)
        if stream is not None:
            if stream.finish(self._cancel.check):
                return
            stream.abort()
        self._target.upload_file(path, self._content_type)

    def _abort_all(self) -> None:
        """Leave no parts in the bucket, as far as a few seconds suffice for that."""
        for stream in self._all_streams:
            stream.stop()
        aborting = [self._pool.submit(stream.abort) for stream in self._all_streams]
        wait(aborting, timeout=_ABORT_SECONDS)
