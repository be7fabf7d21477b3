"""Uploading to presigned URLs whose servers behave badly."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.waiting import patience
from tests.support.web import Request, Web, answer, endless_body

from splitjob.addresses import parse_networks
from splitjob.egress import Egress
from splitjob.errors import ErrorCode, Failure
from splitjob_io.storage import S3Service
from splitjob_worker.cancellation import CancelToken
from splitjob_worker.upload import targets as upload
from splitjob_worker.upload.targets import PresignedPut, PresignedUrls

HERE = Egress(parse_networks("127.0.0.0/8"))


def put(url: str, folder: Path, size: int = 5000, headers: dict[str, str] | None = None) -> None:
    stem = folder / "vocals.wav"
    stem.write_bytes(bytes(size))
    put = PresignedPut(url, headers or {})
    PresignedUrls({"vocals": put}, HERE, CancelToken()).upload_file(stem, "audio/wav")


@pytest.mark.timeout(patience(20))
def test_an_answer_without_end_is_not_read(web: Web, tmp_path: Path) -> None:
    put(web.serve("/vocals", endless_body), tmp_path)
    assert [(what, len(body)) for what, _, body in web.requests] == [("PUT /vocals", 5000)]


def test_the_headers_given_are_sent_and_no_content_type_of_our_own(
    web: Web, tmp_path: Path
) -> None:
    url = web.serve("/vocals", answer(201))
    put(url, tmp_path, headers={"x-ms-blob-type": "BlockBlob", "User-Agent": "mine"})
    put(url, tmp_path)
    (_, given, _), (_, plain, _) = web.requests
    assert (given["x-ms-blob-type"], given["User-Agent"]) == ("BlockBlob", "mine")
    assert given["Content-Length"] == "5000"
    assert "Content-Type" not in {*given, *plain}


def test_a_url_that_expired_meanwhile_is_said_to_have(web: Web, tmp_path: Path) -> None:
    url = web.serve("/vocals", answer(403))
    with pytest.raises(Failure, match="the URL expired at 2026-01-01T00:01:00Z"):
        put(f"{url}&X-Amz-Date=20260101T000000Z&X-Amz-Expires=60", tmp_path)


def test_a_refusal_is_told_without_the_urls_secret(web: Web, tmp_path: Path) -> None:
    """Acceptance 49."""
    with pytest.raises(Failure) as caught:
        put(web.serve("/vocals", answer(403)), tmp_path)
    assert caught.value.code is ErrorCode.UPLOAD_FAILED
    assert not caught.value.retryable
    assert "403" in caught.value.message
    assert "do-not-tell" not in caught.value.message


SIGNED = {
    "ContentType": ("Content-Type", "audio/x-of-mine"),
    "StorageClass": ("x-amz-storage-class", "STANDARD"),
    "ServerSideEncryption": ("x-amz-server-side-encryption", "AES256"),
    "CacheControl": ("Cache-Control", "no-store"),
}


@pytest.fixture
def signed(storage: S3Service) -> str:
    """A URL whose signature covers all of these headers, as a caller's own SDK makes it."""
    values = {parameter: value for parameter, (_, value) in SIGNED.items()}
    where = {"Bucket": storage.bucket, "Key": "signed/vocals"}
    url: str = storage.client.generate_presigned_url("put_object", Params={**where, **values})
    return url


def test_a_real_storage_takes_what_was_signed_with_its_headers(
    signed: str, storage: S3Service, tmp_path: Path
) -> None:
    """Acceptance 73."""
    put(signed, tmp_path, headers=dict(SIGNED.values()))
    stored = storage.get_object_metadata("signed/vocals")
    assert (stored["size"], stored["content_type"]) == (5000, "audio/x-of-mine")


@pytest.mark.parametrize("name", [name for name, _ in SIGNED.values()])
def test_a_real_storage_refuses_a_header_with_another_value_than_was_signed(
    signed: str, tmp_path: Path, name: str
) -> None:
    """Acceptance 73: and the message names the headers, never their values."""
    with pytest.raises(Failure, match="was it signed for other values of its headers") as caught:
        put(signed, tmp_path, headers={**dict(SIGNED.values()), name: "of-nobody"})
    assert caught.value.code is ErrorCode.UPLOAD_FAILED
    assert not caught.value.retryable
    assert name in caught.value.message
    assert "of-nobody" not in caught.value.message


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a second for an upload."""
    monkeypatch.setattr(upload, "GRACE_SECONDS", 0.5)
    monkeypatch.setattr(upload, "MIN_BYTES_PER_SECOND", 1 << 40)


@pytest.mark.timeout(patience(20))
@pytest.mark.usefixtures("hurried")
def test_an_answer_that_trickles_in_is_not_borne(web: Web, tmp_path: Path) -> None:
    """Acceptance 49: no step takes long, all of them together do."""

    def trickle(request: Request) -> None:
        request.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
        while True:
            request.wfile.write(b"x")
            time.sleep(0.05)

    with pytest.raises(Failure, match="not done within") as caught:
        put(web.serve("/vocals", trickle), tmp_path)
    assert caught.value.code is ErrorCode.UPLOAD_FAILED
    assert caught.value.retryable
    assert "do-not-tell" not in caught.value.message
    assert len(web.requests) == 1


@pytest.fixture
def deaf() -> Iterator[str]:
    """A server that accepts connections and reads nothing."""
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/vocals"


@pytest.mark.timeout(patience(20))
@pytest.mark.usefixtures("hurried")
def test_a_receiver_that_stops_reading_is_not_borne(deaf: str, tmp_path: Path) -> None:
    """Acceptance 49."""
    began = time.monotonic()
    with pytest.raises(Failure, match="not done within") as caught:
        put(deaf, tmp_path, 16 << 20)
    assert caught.value.code is ErrorCode.UPLOAD_FAILED
    assert time.monotonic() - began < patience(10)


@pytest.mark.usefixtures("hurried")
def test_a_large_file_has_more_time(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload, "MIN_BYTES_PER_SECOND", 1000)  # five seconds for 5000 bytes

    def slow(request: Request) -> None:
        time.sleep(1)
        answer(200)(request)

    put(web.serve("/vocals", slow), tmp_path)
    assert len(web.requests) == 1
