"""Files that go up while they are still written, to a real S3 server."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.support.flaky_storage import Flaky

from splitjob.errors import ErrorCode, Failure
from splitjob.result import StemReport
from splitjob_io.storage import PATIENT, S3Service
from splitjob_worker.cancellation import Cancelled, CancelToken
from splitjob_worker.stems.encode import StemFile
from splitjob_worker.stems.encoding import Encoding
from splitjob_worker.stems.output import EncodedStem
from splitjob_worker.upload.multipart import PART_BYTES, MultipartStream
from splitjob_worker.upload.stem_uploads import StemUploads
from splitjob_worker.upload.targets import Bucket

BEGINNING = 1 << 16  # bytes; far more than any format changes, far less than a part
RANDOM = np.random.default_rng(4)


class Growing:
    """A file that grows by three MiB at a time, and changes its beginning at the end."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "vocals.wav"
        self.path.write_bytes(b"")

    def grow(self) -> None:
        with self.path.open("ab") as file:
            file.write(RANDOM.bytes(3 << 20))

    def close(self) -> EncodedStem:
        with self.path.open("r+b") as file:
            file.write(b"now the sizes are known")
        size = self.path.stat().st_size
        report = StemReport(name="vocals", sha256="", size=size, frames=1, peak=0.5, gain=1.0)
        return EncodedStem(self.path, report)


@pytest.fixture
def prefix(tmp_path: Path) -> str:
    return tmp_path.name


@pytest.fixture
def growing(tmp_path: Path) -> Growing:
    return Growing(tmp_path)


@pytest.fixture
def uploads(storage: S3Service, prefix: str) -> Iterator[StemUploads]:
    with StemUploads(Bucket(storage, prefix, "uid"), "audio/wav", CancelToken()) as under_way:
        yield under_way


def parts(storage: S3Service, prefix: str) -> list[int]:
    """The numbers of the parts that lie in the bucket, of uploads that are not completed."""
    found = storage.client.list_multipart_uploads(Bucket=storage.bucket, Prefix=prefix)
    return [
        part["PartNumber"]
        for one in found.get("Uploads", [])
        for part in storage.client.list_parts(
            Bucket=storage.bucket, Key=one["Key"], UploadId=one["UploadId"]
        ).get("Parts", [])
    ]


def test_all_parts_but_the_first_are_up_before_the_file_is_closed(
    storage: S3Service, uploads: StemUploads, growing: Growing, prefix: str
) -> None:
    for _ in range(9):
        growing.grow()
        uploads.file_grew(growing.path)
        uploads.finish()
    assert parts(storage, prefix) == [2, 3]
    assert not storage.file_exists(f"{prefix}/vocals.wav")
    uploads.file_finished(growing.close())
    uploads.finish()
    assert parts(storage, prefix) == []
    assert storage.get_object(f"{prefix}/vocals.wav") == growing.path.read_bytes()
    assert storage.get_object_metadata(f"{prefix}/vocals.wav")["content_type"] == "audio/wav"


def test_a_file_that_ends_where_a_part_does(
    storage: S3Service, uploads: StemUploads, growing: Growing, prefix: str
) -> None:
    growing.path.write_bytes(RANDOM.bytes(3 * PART_BYTES))
    uploads.file_grew(growing.path)
    uploads.file_finished(growing.close())
    uploads.finish()
    assert storage.get_object(f"{prefix}/vocals.wav") == growing.path.read_bytes()


def test_a_file_that_is_made_again(
    storage: S3Service, uploads: StemUploads, growing: Growing, prefix: str
) -> None:
    """Nothing is left of what went up before, nor found in what comes then."""
    growing.path.write_bytes(RANDOM.bytes(2 * PART_BYTES))
    uploads.file_grew(growing.path)
    uploads.file_discarded(growing.path)
    growing.path.unlink()
    growing.path.write_bytes(RANDOM.bytes(4 * PART_BYTES))
    uploads.file_grew(growing.path)
    uploads.file_finished(growing.close())
    uploads.finish()
    assert parts(storage, prefix) == []
    assert storage.get_object(f"{prefix}/vocals.wav") == growing.path.read_bytes()


@pytest.mark.parametrize("error", [Failure(ErrorCode.INTERNAL_ERROR, "x"), Cancelled()])
def test_what_fails_leaves_no_parts(
    storage: S3Service, growing: Growing, prefix: str, error: BaseException
) -> None:
    growing.path.write_bytes(RANDOM.bytes(3 * PART_BYTES))

    def work() -> None:
        with StemUploads(Bucket(storage, prefix, "uid"), "audio/wav", CancelToken()) as uploads:
            uploads.file_grew(growing.path)
            uploads.finish()
            assert parts(storage, prefix) == [2, 3]
            raise error

    with pytest.raises(type(error)):
        work()
    assert parts(storage, prefix) == []
    assert storage.list_objects(prefix) == []


def test_storage_that_fails_for_a_while_gets_the_whole_file_in_the_end(
    flaky: tuple[Flaky, S3Service], storage: S3Service, growing: Growing, prefix: str
) -> None:
    """Acceptance 49: it is not the upload in parts that a job ends with."""
    front, unsteady = flaky
    front.failures = [0, *[503] * PATIENT.attempts]
    growing.path.write_bytes(RANDOM.bytes(2 * PART_BYTES))
    with StemUploads(Bucket(unsteady, prefix, "uid"), "audio/wav", CancelToken()) as uploads:
        uploads.file_grew(growing.path)
        uploads.finish()
        assert front.failures == []
        growing.grow()
        uploads.file_grew(growing.path)
        uploads.file_finished(growing.close())
        uploads.finish()
    assert parts(storage, prefix) == []
    assert storage.get_object(f"{prefix}/vocals.wav") == growing.path.read_bytes()


@pytest.mark.parametrize("failures", [[0, 404], [0, 0, 0, 404]], ids=["a part", "the completion"])
def test_an_upload_that_is_gone_gets_the_whole_file(
    flaky: tuple[Flaky, S3Service],
    storage: S3Service,
    growing: Growing,
    prefix: str,
    failures: list[int | None],
) -> None:
    """So a completion looks of which the answer was lost, when it is tried again."""
    front, unsteady = flaky
    front.failures = failures
    growing.path.write_bytes(RANDOM.bytes(2 * PART_BYTES))
    with StemUploads(Bucket(unsteady, prefix, "uid"), "audio/wav", CancelToken()) as uploads:
        uploads.file_grew(growing.path)
        uploads.file_finished(growing.close())
        uploads.finish()
    assert front.failures == []
    assert parts(storage, prefix) == []
    assert storage.get_object(f"{prefix}/vocals.wav") == growing.path.read_bytes()


class Heard:
    """Parts that go nowhere but into a list; `after` one of them something happens."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.after: dict[int, Callable[[], None]] = {}
        self.completed = False

    def upload_part(self, number: int, _body: bytes) -> None:
        self.numbers.append(number)
        self.after.get(number, lambda: None)()

    def complete(self) -> None:
        self.completed = True

    def abort(self) -> None:
        pass


def set_parts(path: Path, count: int) -> None:
    """Give a file the length of so many parts; it takes no room on the disk."""
    with path.open("ab") as file:
        file.truncate(count * PART_BYTES)


def test_a_file_forgotten_on_its_way_is_not_completed_with_a_hole(growing: Growing) -> None:
    heard = Heard()
    stream = MultipartStream(growing.path, lambda: heard)
    heard.after = {3: stream.stop}
    set_parts(growing.path, 2)
    stream.upload_ready_parts(lambda: None)
    set_parts(growing.path, 4)
    assert not stream.finish(lambda: None)
    assert (heard.numbers, heard.completed) == ([2, 3], False)


@pytest.mark.parametrize(
    ("on_disk", "all_parts", "sent"),
    [(2, 5, True), (2, 6, False), (9, 16, True), (9, 17, False)],
)
def test_a_file_of_which_much_is_left_is_sent_as_a_whole(
    growing: Growing, on_disk: int, all_parts: int, sent: bool
) -> None:
    """That goes in parallel; what is left goes one part after the other."""
    heard = Heard()
    stream = MultipartStream(growing.path, lambda: heard)
    set_parts(growing.path, on_disk)
    stream.upload_ready_parts(lambda: None)
    set_parts(growing.path, all_parts)
    assert stream.finish(lambda: None) == sent
    early_parts = list(range(2, on_disk + 1))
    rest = [*range(on_disk + 1, all_parts + 1), 1]
    assert heard.numbers == (early_parts + rest if sent else early_parts)
    assert heard.completed == sent


def test_storage_that_refuses_is_told_while_the_model_is_at_work(
    flaky: tuple[Flaky, S3Service], growing: Growing, prefix: str
) -> None:
    """Acceptance 49: no hour of separation for a bucket that takes nothing."""
    front, closed = flaky
    front.failures = [403]
    growing.path.write_bytes(RANDOM.bytes(2 * PART_BYTES))

    def work() -> None:
        with StemUploads(Bucket(closed, prefix, "uid"), "audio/wav", CancelToken()) as uploads:
            uploads.file_grew(growing.path)
            while True:
                uploads.check()

    with pytest.raises(Failure, match="the storage answered 403") as caught:
        work()
    assert (caught.value.code, caught.value.retryable) == (ErrorCode.UPLOAD_FAILED, False)


@pytest.mark.parametrize(
    "encoding",
    [
        Encoding("wav"),
        Encoding("wav", bit_depth=32),
        Encoding("flac", bit_depth=24),
        Encoding("mp3", tags={"title": "A song", "artist": "Somebody"}),
        Encoding("m4a"),
        Encoding("opus"),
    ],
    ids=lambda encoding: f"{encoding.format}{encoding.bit_depth}",
)
def test_formats_change_nothing_but_the_beginning(encoding: Encoding, tmp_path: Path) -> None:
    """What every early upload relies on."""
    seconds, rate = 30, 44_100
    file = StemFile("vocals", seconds * rate, rate, encoding, tmp_path)
    seen = b""
    for _ in range(seconds):
        file.write(0.2 * RANDOM.standard_normal((rate, 2)).astype(np.float32))
        now = file.path.read_bytes()
        assert now[BEGINNING : len(seen)] == seen[BEGINNING:]
        seen = now
    finished = file.close(0.5)
    assert len(seen) > 2 * BEGINNING
    content = finished.path.read_bytes()
    assert content[BEGINNING : len(seen)] == seen[BEGINNING:]
    assert finished.report.sha256 == hashlib.sha256(content).hexdigest()
