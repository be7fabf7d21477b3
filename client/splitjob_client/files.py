"""Stems on their way to a file of this machine: names, checksums, and never half a file."""

import base64
import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from splitjob.result import WAVEFORM_SUFFIX
from splitjob.spec import STEM_PATTERN
from splitjob_client.answers import Job, Stem
from splitjob_client.errors import (
    DownloadError,
    NotCompletedError,
    StemNotFoundError,
    UploadError,
)

_SUFFIX = re.compile(r"\.[a-z0-9]{1,8}", re.ASCII)
_CHUNK_BYTES = 256 * 1024
_GONE = frozenset({404, 410})
_PRECONDITION_FAILED = 412
OnSent = Callable[[int], None]


class PartialFile:
    """A file that is being fetched; it gets its name once it is whole.

    Args:
        file: open for writing.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._digest = hashlib.sha256()

    def write(self, chunk: bytes) -> None:
        """Append to it."""
        self._digest.update(chunk)
        self._file.write(chunk)

    @property
    def checksum(self) -> str:
        """Of what was written so far, as a stem's is given."""
        return f"sha256:{self._digest.hexdigest()}"


class StemFile:
    """Where a stem goes.

    Args:
        stem: of a completed job.
        folder: that it goes to; made where it is missing.

    Raises:
        DownloadError: its name or format cannot be that of a file.
    """

    def __init__(self, stem: Stem, folder: Path) -> None:
        suffix = Path(urlsplit(stem.url).path).suffix or f".{stem.format}"
        if not (re.fullmatch(STEM_PATTERN, stem.type) and _SUFFIX.fullmatch(suffix)):
            raise DownloadError("the service names a stem that cannot be a file's name")
        self._stem = stem
        self.path = folder / f"{stem.type}{suffix}"

    @contextmanager
    def writing(self) -> Iterator[PartialFile]:
        """Give the file to write to; after the block it has its name, or is gone.

        Raises:
            DownloadError: it cannot be written, or is not what the job's checksum says.
        """
        with _whole_or_not(self.path) as file:
            written = PartialFile(file)
            yield written
            self._check(written)

    def _check(self, written: PartialFile) -> None:
        if self._stem.checksum and written.checksum != self._stem.checksum:
            raise DownloadError(
                f"{self.path.name} is not what the job's checksum says: another job has written "
                "there, or it was damaged on the way"
            )


def write_waveform(stem: str, content: bytes, folder: Path) -> Path:
    """Write a waveform, and return its file.

    Args:
        stem: whose it is.
        content: of the file.
        folder: that it goes to; made where it is missing.

    Raises:
        DownloadError: it cannot be written.
    """
    if not re.fullmatch(STEM_PATTERN, stem):
        raise DownloadError("the name of the stem cannot be that of a file")
    path = folder / f"{stem}{WAVEFORM_SUFFIX}.json"
    with _whole_or_not(path) as file:
        file.write(content)
    return path


@contextmanager
def _whole_or_not(path: Path) -> Iterator[BinaryIO]:
    """Give a file to write to; after the block it has its name, or is gone.

    Raises:
        DownloadError: it cannot be written.
    """
    part = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            yield file
        part.replace(path)
    except OSError as error:
        raise DownloadError(f"{path} cannot be written: {error.strerror}") from None
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def stem_of(job: Job, stem: str) -> Stem:
    """Return one of the stems of a job.

    Raises:
        NotCompletedError: it has no stems.
        StemNotFoundError: it has none of that name.
    """
    made = stems_of(job)
    for one in made:
        if one.type == stem:
            return one
    there = ", ".join(one.type for one in made)
    raise StemNotFoundError(f"the job has no stem {stem}; it has: {there}")


def stems_of(job: Job) -> list[Stem]:
    """Return the stems of a job.

    Raises:
        NotCompletedError: it has none.
    """
    if job.result and job.result.stems:
        return job.result.stems
    raise NotCompletedError(f"the job has no stems: it is {job.state}")


def refused_by_bucket(status: int) -> DownloadError:
    """Return what it means that the bucket gave another answer than the file.

    Args:
        status: of HTTP.
    """
    if status in _GONE:
        return StemNotFoundError(f"the bucket does not hold the file any more (HTTP {status})")
    return DownloadError(f"the bucket answered HTTP {status}")


def size_of(path: Path) -> int:
    """Return the size of a file that is to be sent.

    Raises:
        UploadError: it cannot be read, or is empty.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
    except OSError as error:
        raise UploadError(f"{path} cannot be read: {error.strerror}") from None
    if size == 0:
        raise UploadError(f"{path} is empty")
    return size


def content_md5(path: Path) -> str:
    """Return the Content-MD5 of a file (RFC 1864).

    Raises:
        UploadError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).digest()
    except OSError as error:
        raise UploadError(f"{path} cannot be read: {error.strerror}") from None
    return base64.b64encode(digest).decode("ascii")


def chunks_of(path: Path, on_sent: OnSent = lambda sent: None) -> Iterator[bytes]:
    """Return a file piece by piece.

    Args:
        path: the file.
        on_sent: is told, once a piece was taken, how many bytes were so far.
    """
    sent = 0
    with path.open("rb") as file:
        while piece := file.read(_CHUNK_BYTES):
            yield piece
            sent += len(piece)
            on_sent(sent)


def is_there(status: int) -> bool:
    """Whether the answer to a PUT says that the file is in the bucket.

    A file that is not to be replaced was there before where an earlier try arrived and its answer
    did not: nobody else can have put it there.
    """
    return 200 <= status < 300 or status == _PRECONDITION_FAILED
