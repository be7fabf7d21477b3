"""Uploading to presigned URLs whose servers behave badly."""

from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from tests.worker import Web, answer

from splitjob.addresses import parse_networks
from splitjob.errors import ErrorCode, Failure
from splitjob_worker.stopping import Stop
from splitjob_worker.upload import PresignedUrls

HERE = parse_networks("127.0.0.0/8")


def put(url: str, folder: Path) -> None:
    stem = folder / "vocals.wav"
    stem.write_bytes(b"sound" * 1000)
    PresignedUrls({"vocals": url}, HERE, Stop()).put(stem, "audio/wav")


@pytest.mark.timeout(20)
def test_an_answer_without_end_is_not_read(web: Web, tmp_path: Path) -> None:
    def endless(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        while True:
            request.wfile.write(b"10000\r\n" + bytes(0x10000) + b"\r\n")

    put(web.serve("/vocals", endless), tmp_path)
    assert [(what, len(body)) for what, _, body in web.requests] == [("PUT /vocals", 5000)]


def test_a_refusal_is_told_without_the_urls_secret(web: Web, tmp_path: Path) -> None:
    """Acceptance 49."""
    with pytest.raises(Failure) as caught:
        put(web.serve("/vocals", answer(403)), tmp_path)
    assert caught.value.code is ErrorCode.UPLOAD_FAILED
    assert not caught.value.retryable
    assert "403" in caught.value.message
    assert "do-not-tell" not in caught.value.message
