"""Servers that take their time: how much of it a download gives them."""

import threading
import time
from pathlib import Path

import pytest
from tests.support.downloading import download, refused
from tests.support.waiting import patience
from tests.support.web import Handler, Request, Web

from splitjob.errors import ErrorCode
from splitjob_worker.cancellation import Cancelled, CancelToken
from splitjob_worker.source.fetch import DownloadLimits


def trickle(request: Request) -> None:
    """One byte each tenth of a second."""
    request.send_response(200)
    request.send_header("Content-Length", "100000")
    request.end_headers()
    while True:
        request.wfile.write(b"x")
        time.sleep(0.1)


def test_a_trickle_is_not_borne(web: Web, tmp_path: Path) -> None:
    """Acceptance 28."""
    limits = DownloadLimits(1 << 20, first_wait=0.01, window_seconds=0.5)
    failure = refused(web.serve("/x", trickle), tmp_path / "x", limits)
    assert failure.code is ErrorCode.SOURCE_TIMEOUT
    assert failure.retryable


def drip(request: Request, text: bytes, times: int = 100) -> None:
    """Say something again and again, ten times a second."""
    for _ in range(times):
        request.wfile.write(text)
        time.sleep(0.1)


def headers_drip(request: Request) -> None:
    request.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
    drip(request, b"x")


def hints_drip(request: Request) -> None:
    drip(request, b"HTTP/1.1 103 Early Hints\r\n\r\n")


def refusal_drips(request: Request) -> None:
    request.wfile.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 1000\r\n\r\n")
    drip(request, b"x")


@pytest.mark.parametrize("handler", [headers_drip, hints_drip, refusal_drips])
def test_an_answer_that_trickles_in_is_not_borne(
    web: Web, tmp_path: Path, handler: Handler
) -> None:
    """Acceptance 28: also before the body, and in the body of a refusal."""
    limits = DownloadLimits(
        1 << 20, attempts=2, first_wait=0.01, answer_seconds=0.5, total_seconds=20
    )
    began = time.monotonic()
    failure = refused(web.serve("/x", handler), tmp_path / "x", limits)
    assert failure.code is ErrorCode.SOURCE_TIMEOUT
    assert failure.retryable
    assert len(web.requests) == 2
    assert time.monotonic() - began < patience(8)


def test_what_is_said_between_the_bytes_of_a_body_gives_it_no_more_time(
    web: Web, tmp_path: Path
) -> None:
    """Acceptance 28: a chunk's header may be as long as the server likes."""

    def framing_drips(request: Request) -> None:
        request.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;")
        drip(request, b"x")

    limits = DownloadLimits(1 << 20, attempts=2, first_wait=0.01, idle_seconds=0.5)
    failure = refused(web.serve("/x", framing_drips), tmp_path / "x", limits)
    assert failure.code is ErrorCode.SOURCE_TIMEOUT
    assert len(web.requests) == 2


def test_a_slow_body_has_more_time_than_its_headers(web: Web, tmp_path: Path) -> None:
    def slow(request: Request) -> None:
        request.send_response(200)
        request.send_header("Content-Length", "1000")
        request.end_headers()
        drip(request, bytes(100), times=10)

    limits = DownloadLimits(1 << 20, answer_seconds=0.5)
    assert download(web.serve("/x", slow), tmp_path / "x", limits) == 1000


def test_silence_is_not_borne(web: Web, tmp_path: Path) -> None:
    """Acceptance 28."""
    limits = DownloadLimits(1 << 20, attempts=2, first_wait=0.01, idle_seconds=0.2)
    failure = refused(web.serve("/x", lambda _request: time.sleep(1)), tmp_path / "x", limits)
    assert failure.code is ErrorCode.SOURCE_TIMEOUT


def test_the_time_for_all_of_it_is_over(web: Web, tmp_path: Path) -> None:
    """Acceptance 28: what trickles in ends at that time, and is no broken connection."""
    limits = DownloadLimits(1 << 20, first_wait=0.01, total_seconds=0.4)
    began = time.monotonic()
    failure = refused(web.serve("/x", trickle), tmp_path / "x", limits)
    assert failure.code is ErrorCode.SOURCE_TIMEOUT
    assert time.monotonic() - began < patience(10)


def test_stopping_ends_a_download(web: Web, tmp_path: Path) -> None:
    cancel = CancelToken()
    threading.Timer(0.3, cancel.cancel).start()
    began = time.monotonic()
    with pytest.raises(Cancelled):
        download(web.serve("/x", trickle), tmp_path / "x", cancel=cancel)
    assert time.monotonic() - began < patience(10)
