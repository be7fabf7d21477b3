"""Downloading from real servers that behave badly."""

import threading
import time
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from tests.worker import QUERY, Handler, Web, answer, give

from splitjob.addresses import parse_networks
from splitjob.errors import ErrorCode, Failure
from splitjob_worker.fetch import Download, Limits
from splitjob_worker.scratch import Scratch
from splitjob_worker.stopping import Stop, Stopped

HERE = parse_networks("127.0.0.0/8")
CONTENT = bytes(range(256)) * 400
FAST = Limits(max_bytes=1 << 20, first_wait=0.01, idle_seconds=2.0)


def download(url: str, target: Path, limits: Limits = FAST, **options: Any) -> int:
    return Download(url, target, limits, **{"networks": HERE, "allow_http": True, **options}).run()


def refused(url: str, target: Path, limits: Limits = FAST, **options: Any) -> Failure:
    """Download what must not come; nothing of the URL's secret may be told."""
    with pytest.raises(Failure) as caught:
        download(url, target, limits, **options)
    assert "do-not-tell" not in caught.value.message
    return caught.value


def test_a_file_arrives_whole(web: Web, tmp_path: Path) -> None:
    shares: list[float] = []
    url = web.give("/song", CONTENT)
    assert download(url, tmp_path / "x", on_progress=shares.append) == len(CONTENT)
    assert (tmp_path / "x").read_bytes() == CONTENT
    assert shares[-1] == 1.0


def test_an_address_of_the_machine_is_never_dialled(web: Web, tmp_path: Path) -> None:
    """Acceptance 22."""
    url = web.give("/song", CONTENT)
    port = web.url.rpartition(":")[2]
    for host in ("127.0.0.1", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]", "localhost"):
        failure = refused(f"http://{host}:{port}/song?{QUERY}", tmp_path / "x", networks=())
        assert failure.code is ErrorCode.SOURCE_FORBIDDEN
        assert not failure.retryable
    assert refused(url, tmp_path / "x", networks=()).code is ErrorCode.SOURCE_FORBIDDEN
    assert web.requests == []


def test_a_redirect_inside_is_not_followed(web: Web, tmp_path: Path) -> None:
    """Acceptance 22."""
    for place in ("http://169.254.169.254/latest/meta-data", "http://10.0.0.1/", "file:///etc/x"):
        url = web.serve("/away", answer(302, Location=place))
        assert refused(url, tmp_path / "x").code is ErrorCode.SOURCE_FORBIDDEN


def test_three_redirects_are_followed_and_no_more(web: Web, tmp_path: Path) -> None:
    """Acceptance 23."""
    web.give("/song", CONTENT)
    for number in range(1, 5):
        after = "/song" if number == 1 else f"/hop{number - 1}"
        web.serve(f"/hop{number}", answer(302, Location=f"{after}?{QUERY}"))
    assert download(f"{web.url}/hop3?{QUERY}", tmp_path / "x") == len(CONTENT)
    failure = refused(f"{web.url}/hop4?{QUERY}", tmp_path / "x")
    assert failure.code is ErrorCode.SOURCE_FORBIDDEN


def test_plain_http_is_for_local_use_only(web: Web, tmp_path: Path) -> None:
    url = web.give("/song", CONTENT)
    assert refused(url, tmp_path / "x", allow_http=False).code is ErrorCode.SOURCE_FORBIDDEN
    assert web.requests == []


def test_an_expired_url_is_not_even_tried(web: Web, tmp_path: Path) -> None:
    """Acceptance 24."""
    signed = (datetime.now(UTC) - timedelta(hours=2)).strftime("%Y%m%dT%H%M%SZ")
    url = web.give("/song", CONTENT) + f"&X-Amz-Date={signed}&X-Amz-Expires=3600"
    assert refused(url, tmp_path / "x").code is ErrorCode.SOURCE_EXPIRED
    assert web.requests == []


def test_a_store_that_says_expired(web: Web, tmp_path: Path) -> None:
    """Acceptance 24."""

    def expired(request: BaseHTTPRequestHandler) -> None:
        body = b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"
        request.send_response(403)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    assert refused(web.serve("/x", expired), tmp_path / "x").code is ErrorCode.SOURCE_EXPIRED


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 451])
def test_4xx_is_not_tried_again(web: Web, tmp_path: Path, status: int) -> None:
    """Acceptance 25."""
    failure = refused(web.serve("/song", answer(status)), tmp_path / "x")
    assert failure.code is ErrorCode.SOURCE_NOT_FOUND
    assert str(status) in failure.message
    assert len(web.requests) == 1


def in_turn(*handlers: Handler) -> Handler:
    """Each request is answered by the next of these; the last one stays."""
    left = list(handlers)

    def handle(request: BaseHTTPRequestHandler) -> None:
        (left.pop(0) if len(left) > 1 else left[0])(request)

    return handle


def test_three_503s_then_200(web: Web, tmp_path: Path) -> None:
    """Acceptance 25."""
    busy = answer(503)
    url = web.serve("/song", in_turn(busy, busy, busy, lambda one: give(one, CONTENT)))
    assert download(url, tmp_path / "x") == len(CONTENT)


def test_503_for_ever(web: Web, tmp_path: Path) -> None:
    failure = refused(web.serve("/song", answer(503)), tmp_path / "x")
    assert failure.code is ErrorCode.SOURCE_UNAVAILABLE
    assert failure.retryable
    assert len(web.requests) == FAST.attempts


def test_nobody_there(tmp_path: Path) -> None:
    failure = refused(f"http://127.0.0.1:1/song?{QUERY}", tmp_path / "x")
    assert failure.code is ErrorCode.SOURCE_UNAVAILABLE


def test_an_announced_giant_is_refused_at_once(web: Web, tmp_path: Path) -> None:
    """Acceptance 26."""

    def giant(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(1 << 40))
        request.end_headers()
        request.wfile.write(bytes(1000))

    assert refused(web.serve("/x", giant), tmp_path / "x").code is ErrorCode.SOURCE_TOO_LARGE
    assert not (tmp_path / "x").exists()


def test_a_source_that_the_limit_of_the_scratch_disk_cannot_take(web: Web, tmp_path: Path) -> None:
    """Acceptance 50: told before its first byte, with both numbers."""
    folder = tmp_path / "job"
    folder.mkdir()
    (tmp_path / "beside").write_bytes(bytes(2_000_000))
    url = web.serve("/x", lambda one: give(one, bytes(5_000_000)))
    limits = Limits(max_bytes=1 << 30, first_wait=0.01)
    failure = refused(url, folder / "x", limits, scratch=Scratch(folder, limit=4_500_000))
    assert failure.code is ErrorCode.WORKER_STORAGE
    assert not failure.retryable, "the limit is the same in the next attempt"
    assert "5 MB of scratch space for its source, but only 2 MB are left" in failure.message
    assert not (folder / "x").exists()
    assert len(web.requests) == 1


def test_a_source_that_the_disk_cannot_take(web: Web, tmp_path: Path) -> None:
    """Acceptance 50: another attempt may find a disk with more room."""

    def giant(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(1 << 60))
        request.end_headers()
        request.wfile.write(bytes(1000))

    failure = refused(web.serve("/x", giant), tmp_path / "x", Limits(max_bytes=1 << 62))
    assert failure.code is ErrorCode.WORKER_STORAGE
    assert failure.retryable
    assert not (tmp_path / "x").exists()


def test_what_is_there_already_counts_once(web: Web, tmp_path: Path) -> None:
    """Acceptance 50: neither a resumption nor a new beginning needs room for it twice."""
    folder = tmp_path / "job"
    folder.mkdir()
    content = bytes(1_000_000)

    def anew(request: BaseHTTPRequestHandler) -> None:
        del request.headers["Range"]
        give(request, content)

    turns = [
        lambda one: give(one, content, cut=600_000),
        lambda one: give(one, content, cut=200_000),
        anew,
    ]
    url = web.serve("/x", in_turn(*turns))
    assert download(url, folder / "x", scratch=Scratch(folder, limit=1_100_000)) == len(content)
    assert len(web.requests) == 3


def test_an_endless_body_is_cut_at_the_limit(web: Web, tmp_path: Path) -> None:
    """Acceptance 26."""

    def endless(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        while True:
            request.wfile.write(b"10000\r\n" + bytes(0x10000) + b"\r\n")

    assert refused(web.serve("/x", endless), tmp_path / "x").code is ErrorCode.SOURCE_TOO_LARGE
    assert (tmp_path / "x").stat().st_size <= FAST.max_bytes


def test_a_body_longer_than_announced(web: Web, tmp_path: Path) -> None:
    """Acceptance 26: what was announced is taken, the rest is not."""

    def liar(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", "1000")
        request.end_headers()
        request.wfile.write(bytes(5000))
        request.close_connection = True

    assert download(web.serve("/x", liar), tmp_path / "x") == 1000


def test_cut_off_again_and_again_but_resumed(web: Web, tmp_path: Path) -> None:
    """Acceptance 27."""
    url = web.serve("/song", lambda request: give(request, CONTENT, cut=10_000))
    assert download(url, tmp_path / "x") == len(CONTENT)
    assert (tmp_path / "x").read_bytes() == CONTENT
    assert len(web.requests) == 11
    assert all(headers["If-Range"] == '"one"' for _, headers, _ in web.requests[1:])


def test_an_answer_may_be_shorter_than_the_range_that_was_asked_for(
    web: Web, tmp_path: Path
) -> None:
    """Acceptance 27: caches do so (RFC 9110, section 15.3.7); it is not the end."""

    def piece(request: BaseHTTPRequestHandler) -> None:
        start = int(request.headers["Range"].removeprefix("bytes=").rstrip("-"))
        body = CONTENT[start : start + 30_000]
        request.send_response(206)
        request.send_header(
            "Content-Range", f"bytes {start}-{start + len(body) - 1}/{len(CONTENT)}"
        )
        request.send_header("Content-Length", str(len(body)))
        request.send_header("ETag", '"one"')
        request.end_headers()
        request.wfile.write(body)

    turns = [lambda one: give(one, CONTENT, cut=5000), *10 * [piece]]
    assert download(web.serve("/x", in_turn(*turns)), tmp_path / "x") == len(CONTENT)
    assert (tmp_path / "x").read_bytes() == CONTENT


def test_cut_off_where_nothing_can_be_resumed(web: Web, tmp_path: Path) -> None:
    """Acceptance 27."""

    def cut(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(len(CONTENT)))
        request.end_headers()
        request.wfile.write(CONTENT[:10_000])
        request.close_connection = True

    failure = refused(web.serve("/song", cut), tmp_path / "x")
    assert failure.code is ErrorCode.SOURCE_INCOMPLETE
    assert failure.retryable
    assert len(web.requests) == FAST.attempts


@pytest.mark.parametrize("name", ["ETag", "Last-Modified"])
def test_a_validator_that_cannot_be_sent_back(web: Web, tmp_path: Path, name: str) -> None:
    """Acceptance 27: headers outside ASCII are no defect of ours."""

    def cut(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header(name, '"\xe9"')
        request.send_header("Content-Length", str(len(CONTENT)))
        request.end_headers()
        request.wfile.write(CONTENT[:10_000])
        request.close_connection = True

    url = web.serve("/x", in_turn(cut, lambda one: give(one, CONTENT)))
    assert download(url, tmp_path / "x") == len(CONTENT)
    assert (tmp_path / "x").read_bytes() == CONTENT
    assert "If-Range" not in web.requests[1][1]


@pytest.mark.parametrize("complete", ["\xb2", "9" * 5000, "1e5", "-1", "+9", "*", ""])
def test_a_range_of_a_length_that_is_no_number(web: Web, tmp_path: Path, complete: str) -> None:
    """Acceptance 26: such a length is not known."""

    def rest(request: BaseHTTPRequestHandler) -> None:
        request.send_response(206)
        request.send_header("Content-Range", f"bytes 5000-{len(CONTENT) - 1}/{complete}")
        request.send_header("Content-Length", str(len(CONTENT) - 5000))
        request.end_headers()
        request.wfile.write(CONTENT[5000:])

    url = web.serve("/x", in_turn(lambda one: give(one, CONTENT, cut=5000), rest))
    assert download(url, tmp_path / "x") == len(CONTENT)
    assert (tmp_path / "x").read_bytes() == CONTENT


def test_a_source_that_changes_meanwhile_is_begun_anew(web: Web, tmp_path: Path) -> None:
    other = bytes(reversed(CONTENT))

    def changed(request: BaseHTTPRequestHandler) -> None:
        del request.headers["Range"]
        give(request, other)

    url = web.serve("/x", in_turn(lambda one: give(one, CONTENT, cut=5000), changed))
    assert download(url, tmp_path / "x") == len(other)
    assert (tmp_path / "x").read_bytes() == other


NEW = {"ETag": '"two"', "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT"}


@pytest.mark.parametrize(
    ("before", "now", "length"),
    [
        ({"ETag": '"one"'}, {"ETag": '"two"'}, len(CONTENT)),
        ({"Last-Modified": "Wed, 31 Dec 2025 00:00:00 GMT"}, NEW, len(CONTENT)),
        ({}, {}, len(CONTENT) + 1),
    ],
    ids=["etag", "last-modified", "length"],
)
def test_two_versions_are_never_joined(
    web: Web, tmp_path: Path, before: dict[str, str], now: dict[str, str], length: int
) -> None:
    """Acceptance 27: a server that ignores If-Range goes on with another file."""
    other = bytes(reversed(CONTENT))[:1] * length

    def give_version(request: BaseHTTPRequestHandler, body: bytes, says: dict[str, str]) -> None:
        begin = int(request.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
        request.send_response(206 if begin else 200)
        if begin:
            request.send_header("Content-Range", f"bytes {begin}-{len(body) - 1}/{len(body)}")
        for name, value in says.items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(body) - begin))
        request.end_headers()
        request.wfile.write(body[begin : None if body is other else 5000])
        request.close_connection = True

    turns = [
        lambda one: give_version(one, CONTENT, before),
        lambda one: give_version(one, other, now),
    ]
    url = web.serve("/x", in_turn(*turns))
    assert download(url, tmp_path / "x") == len(other)
    assert (tmp_path / "x").read_bytes() == other
    assert ["Range" in headers for _, headers, _ in web.requests] == [False, True, False]


def test_a_source_that_changes_all_the_time(web: Web, tmp_path: Path) -> None:
    """Acceptance 27: each beginning is a try, and tries are counted."""
    versions = iter(range(1000))

    def restless(request: BaseHTTPRequestHandler) -> None:
        ranged = "Range" in request.headers
        request.send_response(206 if ranged else 200)
        if ranged:
            request.send_header("Content-Range", f"bytes 5000-{len(CONTENT) - 1}/{len(CONTENT)}")
        request.send_header("ETag", f'"{next(versions)}"')
        request.send_header("Content-Length", str(len(CONTENT) - 5000 * ranged))
        request.end_headers()
        request.wfile.write(CONTENT[:5000])
        request.close_connection = True

    failure = refused(web.serve("/x", restless), tmp_path / "x")
    assert failure.code is ErrorCode.SOURCE_INCOMPLETE
    assert len(web.requests) == FAST.attempts


def test_a_piece_without_the_whole_length_is_not_the_end(web: Web, tmp_path: Path) -> None:
    """Acceptance 27: the first answer has said how long the source is."""

    def piece(request: BaseHTTPRequestHandler) -> None:
        begin = int(request.headers["Range"].removeprefix("bytes=").rstrip("-"))
        body = CONTENT[begin : begin + 50_000]
        request.send_response(206)
        request.send_header("Content-Range", f"bytes {begin}-{begin + len(body) - 1}/*")
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    url = web.serve("/x", in_turn(lambda one: give(one, CONTENT, cut=5000), piece))
    assert download(url, tmp_path / "x") == len(CONTENT)
    assert (tmp_path / "x").read_bytes() == CONTENT


def test_a_part_that_nobody_asked_for_is_not_put_behind_old_bytes(web: Web, tmp_path: Path) -> None:
    def part(request: BaseHTTPRequestHandler) -> None:
        request.send_response(206)
        request.send_header("Content-Range", f"bytes 0-{len(CONTENT) - 1}/{len(CONTENT)}")
        request.send_header("Content-Length", str(len(CONTENT)))
        request.end_headers()
        request.wfile.write(CONTENT)

    url = web.serve("/x", in_turn(lambda one: give(one, CONTENT, cut=5000), part, part))
    assert download(url, tmp_path / "x") == len(CONTENT)
    assert (tmp_path / "x").read_bytes() == CONTENT


def trickle(request: BaseHTTPRequestHandler) -> None:
    """One byte each tenth of a second."""
    request.send_response(200)
    request.send_header("Content-Length", "100000")
    request.end_headers()
    while True:
        request.wfile.write(b"x")
        time.sleep(0.1)


def test_a_trickle_is_not_borne(web: Web, tmp_path: Path) -> None:
    """Acceptance 28."""
    limits = Limits(1 << 20, first_wait=0.01, window_seconds=0.5)
    failure = refused(web.serve("/x", trickle), tmp_path / "x", limits)
    assert failure.code is ErrorCode.SOURCE_TIMEOUT
    assert failure.retryable


def drip(request: BaseHTTPRequestHandler, text: bytes, times: int = 100) -> None:
    """Say something again and again, ten times a second."""
    for _ in range(times):
        request.wfile.write(text)
        time.sleep(0.1)


def headers_drip(request: BaseHTTPRequestHandler) -> None:
    request.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
    drip(request, b"x")


def hints_drip(request: BaseHTTPRequestHandler) -> None:
    drip(request, b"HTTP/1.1 103 Early Hints\r\n\r\n")


def refusal_drips(request: BaseHTTPRequestHandler) -> None:
    request.wfile.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 1000\r\n\r\n")
    drip(request, b"x")


@pytest.mark.parametrize("handler", [headers_drip, hints_drip, refusal_drips])
def test_an_answer_that_trickles_in_is_not_borne(
    web: Web, tmp_path: Path, handler: Handler
) -> None:
    """Acceptance 28: also before the body, and in the body of a refusal."""
    limits = Limits(1 << 20, attempts=2, first_wait=0.01, answer_seconds=0.5, total_seconds=20)
    began = time.monotonic()
    failure = refused(web.serve("/x", handler), tmp_path / "x", limits)
    assert failure.code is ErrorCode.SOURCE_TIMEOUT
    assert failure.retryable
    assert len(web.requests) == 2
    assert time.monotonic() - began < 8


def test_a_slow_body_has_more_time_than_its_headers(web: Web, tmp_path: Path) -> None:
    def slow(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", "1000")
        request.end_headers()
        drip(request, bytes(100), times=10)

    limits = Limits(1 << 20, answer_seconds=0.5)
    assert download(web.serve("/x", slow), tmp_path / "x", limits) == 1000


def test_silence_is_not_borne(web: Web, tmp_path: Path) -> None:
    """Acceptance 28."""
    limits = Limits(1 << 20, attempts=2, first_wait=0.01, idle_seconds=0.2)
    failure = refused(web.serve("/x", lambda _request: time.sleep(1)), tmp_path / "x", limits)
    assert failure.code is ErrorCode.SOURCE_TIMEOUT


def test_the_time_for_all_of_it_is_over(web: Web, tmp_path: Path) -> None:
    """Acceptance 28: what trickles in ends at that time, and is no broken connection."""
    limits = Limits(1 << 20, first_wait=0.01, total_seconds=0.4)
    began = time.monotonic()
    failure = refused(web.serve("/x", trickle), tmp_path / "x", limits)
    assert failure.code is ErrorCode.SOURCE_TIMEOUT
    assert time.monotonic() - began < 10


def test_stopping_ends_a_download(web: Web, tmp_path: Path) -> None:
    stop = Stop()
    threading.Timer(0.3, stop.set).start()
    began = time.monotonic()
    with pytest.raises(Stopped):
        download(web.serve("/x", trickle), tmp_path / "x", stop=stop)
    assert time.monotonic() - began < 10
