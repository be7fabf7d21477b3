"""Downloads that break off and go on, of sources that stay the same or do not."""

from pathlib import Path

import pytest
from tests.support.downloading import CONTENT, FAST, download, refused
from tests.support.web import Request, Web, give, in_turn

from splitjob.errors import ErrorCode


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

    def piece(request: Request) -> None:
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

    def cut(request: Request) -> None:
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

    def cut(request: Request) -> None:
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

    def rest(request: Request) -> None:
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

    def changed(request: Request) -> None:
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

    def give_version(request: Request, body: bytes, says: dict[str, str]) -> None:
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

    def restless(request: Request) -> None:
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

    def piece(request: Request) -> None:
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
    def part(request: Request) -> None:
        request.send_response(206)
        request.send_header("Content-Range", f"bytes 0-{len(CONTENT) - 1}/{len(CONTENT)}")
        request.send_header("Content-Length", str(len(CONTENT)))
        request.end_headers()
        request.wfile.write(CONTENT)

    url = web.serve("/x", in_turn(lambda one: give(one, CONTENT, cut=5000), part, part))
    assert download(url, tmp_path / "x") == len(CONTENT)
    assert (tmp_path / "x").read_bytes() == CONTENT
