"""Downloading from real servers: what is fetched, what is refused, how much of it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.support.downloading import CONTENT, FAST, download, refused
from tests.support.web import QUERY, Request, Web, answer, endless_body, give, in_turn

from splitjob.egress import DIRECT
from splitjob.errors import ErrorCode
from splitjob_worker.scratch import Scratch
from splitjob_worker.source.fetch import DownloadLimits


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
        failure = refused(f"http://{host}:{port}/song?{QUERY}", tmp_path / "x", egress=DIRECT)
        assert failure.code is ErrorCode.SOURCE_FORBIDDEN
        assert not failure.retryable
    assert refused(url, tmp_path / "x", egress=DIRECT).code is ErrorCode.SOURCE_FORBIDDEN
    assert web.requests == []


def test_a_redirect_to_a_private_address_is_not_followed(web: Web, tmp_path: Path) -> None:
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

    def expired(request: Request) -> None:
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


def test_three_503s_then_200(web: Web, tmp_path: Path) -> None:
    """Acceptance 25."""
    busy = answer(503)
    url = web.serve("/song", in_turn(busy, busy, busy, lambda one: give(one, CONTENT)))
    assert download(url, tmp_path / "x") == len(CONTENT)


def test_a_source_that_answers_503_for_ever_is_given_up(web: Web, tmp_path: Path) -> None:
    failure = refused(web.serve("/song", answer(503)), tmp_path / "x")
    assert failure.code is ErrorCode.SOURCE_UNAVAILABLE
    assert failure.retryable
    assert len(web.requests) == FAST.attempts


def test_a_source_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    failure = refused(f"http://127.0.0.1:1/song?{QUERY}", tmp_path / "x")
    assert failure.code is ErrorCode.SOURCE_UNAVAILABLE


def test_an_announced_giant_is_refused_at_once(web: Web, tmp_path: Path) -> None:
    """Acceptance 26."""

    def giant(request: Request) -> None:
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
    limits = DownloadLimits(max_bytes=1 << 30, first_wait=0.01)
    failure = refused(url, folder / "x", limits, scratch=Scratch(folder, limit=4_500_000))
    assert failure.code is ErrorCode.WORKER_STORAGE
    assert not failure.retryable, "the limit is the same in the next attempt"
    assert "5 MB of scratch space for its source, but only 2 MB are left" in failure.message
    assert not (folder / "x").exists()
    assert len(web.requests) == 1


def test_a_source_that_the_disk_cannot_take(web: Web, tmp_path: Path) -> None:
    """Acceptance 50: another attempt may find a disk with more room."""

    def giant(request: Request) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(1 << 60))
        request.end_headers()
        request.wfile.write(bytes(1000))

    failure = refused(web.serve("/x", giant), tmp_path / "x", DownloadLimits(max_bytes=1 << 62))
    assert failure.code is ErrorCode.WORKER_STORAGE
    assert failure.retryable
    assert not (tmp_path / "x").exists()


def test_what_is_there_already_counts_once(web: Web, tmp_path: Path) -> None:
    """Acceptance 50: neither a resumption nor a new beginning needs room for it twice."""
    folder = tmp_path / "job"
    folder.mkdir()
    content = bytes(1_000_000)

    def anew(request: Request) -> None:
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

    assert refused(web.serve("/x", endless_body), tmp_path / "x").code is ErrorCode.SOURCE_TOO_LARGE
    assert (tmp_path / "x").stat().st_size <= FAST.max_bytes


def test_a_body_longer_than_announced(web: Web, tmp_path: Path) -> None:
    """Acceptance 26: what was announced is taken, the rest is not."""

    def liar(request: Request) -> None:
        request.send_response(200)
        request.send_header("Content-Length", "1000")
        request.end_headers()
        request.wfile.write(bytes(5000))
        request.close_connection = True

    assert download(web.serve("/x", liar), tmp_path / "x") == 1000
