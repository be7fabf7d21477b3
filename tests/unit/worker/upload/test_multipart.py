"""When the parts of a growing file are uploaded, without a bucket."""

from pathlib import Path

import pytest

from splitjob.errors import ErrorCode, Failure
from splitjob_worker.upload.multipart import PART_BYTES, MultipartStream


class Uploaded:
    """A multipart upload that notes its parts; it fails with `failure` where there is one."""

    def __init__(self, failure: Failure | None = None) -> None:
        self.parts: list[int] = []
        self.ended = ""
        self._failure = failure

    def upload_part(self, number: int, _body: bytes) -> None:
        if self._failure:
            raise self._failure
        self.parts.append(number)

    def complete(self) -> None:
        self.ended = "completed"

    def abort(self) -> None:
        self.ended = "aborted"


def grown(folder: Path, parts: float) -> Path:
    """Give a file the length of so many parts; it takes no room on the disk."""
    path = folder / "vocals.wav"
    with path.open("ab") as file:
        file.truncate(int(parts * PART_BYTES))
    return path


def test_nothing_is_scheduled_before_the_second_part_is_whole(tmp_path: Path) -> None:
    stream = MultipartStream(grown(tmp_path, 1.9), Uploaded)
    assert not stream.try_schedule()
    grown(tmp_path, 2)
    assert stream.try_schedule()


def test_an_upload_is_scheduled_once_until_it_has_run(tmp_path: Path) -> None:
    stream = MultipartStream(grown(tmp_path, 2), Uploaded)
    assert stream.try_schedule()
    assert not stream.try_schedule()
    stream.upload_ready_parts(lambda: None)
    assert not stream.try_schedule(), "no further part is on the disk"
    grown(tmp_path, 3)
    assert stream.try_schedule()


def test_a_stream_that_was_stopped_is_never_scheduled(tmp_path: Path) -> None:
    stream = MultipartStream(grown(tmp_path, 4), Uploaded)
    stream.stop()
    assert not stream.try_schedule()


def test_the_first_part_goes_last(tmp_path: Path) -> None:
    uploaded = Uploaded()
    stream = MultipartStream(grown(tmp_path, 3), lambda: uploaded)
    stream.upload_ready_parts(lambda: None)
    grown(tmp_path, 3.5)
    assert stream.finish(lambda: None)
    assert (uploaded.parts, uploaded.ended) == ([2, 3, 4, 1], "completed")


def test_a_target_without_parts_gets_the_whole_file(tmp_path: Path) -> None:
    stream = MultipartStream(grown(tmp_path, 4), lambda: None)
    stream.upload_ready_parts(lambda: None)
    assert not stream.finish(lambda: None)


def test_a_failure_that_may_pass_leaves_the_whole_file_to_be_uploaded(tmp_path: Path) -> None:
    uploaded = Uploaded(Failure(ErrorCode.UPLOAD_FAILED, "503", retryable=True))
    stream = MultipartStream(grown(tmp_path, 3), lambda: uploaded)
    stream.upload_ready_parts(lambda: None)
    assert not stream.finish(lambda: None)
    stream.abort()
    assert uploaded.ended == "aborted"


def test_a_failure_for_good_is_raised(tmp_path: Path) -> None:
    uploaded = Uploaded(Failure(ErrorCode.UPLOAD_FAILED, "403", retryable=False))
    stream = MultipartStream(grown(tmp_path, 3), lambda: uploaded)
    with pytest.raises(Failure, match="403"):
        stream.upload_ready_parts(lambda: None)


def test_what_is_completed_is_not_aborted(tmp_path: Path) -> None:
    uploaded = Uploaded()
    stream = MultipartStream(grown(tmp_path, 2), lambda: uploaded)
    stream.upload_ready_parts(lambda: None)
    assert stream.finish(lambda: None)
    stream.abort()
    assert uploaded.ended == "completed"
