"""Sources that are stored with a Content-Encoding: decoded, within the limit after decoding."""

import gzip
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.downloading import CONTENT, FAST, download, refused
from tests.support.web import Request, Web, give

from splitjob.errors import ErrorCode, Failure
from splitjob_io.storage import S3Service
from splitjob_worker.cancellation import CancelToken
from splitjob_worker.scratch import Scratch
from splitjob_worker.source.stored import StoredDownload

PACKED = gzip.compress(CONTENT)


def stored(web: Web, content: bytes, encoding: str, cut: int | None = None) -> str:
    """Serve an object with its encoding, ranges included; the first answer breaks off at `cut`."""
    left = [cut]

    def handle(request: Request) -> None:
        plain_end = request.end_headers

        def end_headers() -> None:
            request.send_header("Content-Encoding", encoding)
            plain_end()

        request.end_headers = end_headers  # type: ignore[method-assign]
        give(request, content, cut=left.pop() if left else None)

    return web.serve("/song", handle)


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (PACKED, "gzip"),
        (PACKED, "GZIP"),
        (PACKED, "x-gzip"),
        (PACKED, "gzip,aws-chunked"),
        (PACKED, "aws-chunked, gzip"),
        (gzip.compress(PACKED), "gzip, gzip"),
        (gzip.compress(CONTENT[:100]) + gzip.compress(CONTENT[100:]) + bytes(512), "gzip"),
        (CONTENT, "identity"),
        (CONTENT, "aws-chunked"),
        (CONTENT, ""),
        (CONTENT, "gzip"),
    ],
    ids=range(11),
)
def test_the_song_itself_comes_out(web: Web, tmp_path: Path, content: bytes, encoding: str) -> None:
    """The last one was decoded on the way by a server that left the header."""
    assert download(stored(web, content, encoding), tmp_path / "song") == len(CONTENT)
    assert (tmp_path / "song").read_bytes() == CONTENT
    assert [file.name for file in tmp_path.iterdir()] == ["song"]


def test_a_transfer_that_broke_off_goes_on_within_what_is_sent(web: Web, tmp_path: Path) -> None:
    url = stored(web, PACKED, "gzip", cut=len(PACKED) // 2)
    download(url, tmp_path / "song")
    assert (tmp_path / "song").read_bytes() == CONTENT
    assert [headers.get("Range") for _, headers, _ in web.requests] == [
        None,
        f"bytes={len(PACKED) // 2}-",
    ]


def test_the_limit_counts_after_decoding(web: Web, tmp_path: Path) -> None:
    limits = replace(FAST, max_bytes=len(CONTENT))
    url = stored(web, PACKED, "gzip")
    assert download(url, tmp_path / "song", limits) == len(CONTENT)
    bomb = stored(web, gzip.compress(bytes(50 << 20)), "gzip")
    failure = refused(bomb, tmp_path / "bomb", FAST)
    assert failure.code is ErrorCode.SOURCE_TOO_LARGE
    assert (tmp_path / "bomb.decoded").stat().st_size <= FAST.max_bytes


@pytest.mark.parametrize(
    ("content", "encoding", "said"),
    [
        (CONTENT, "br", "Content-Encoding: br, of which only gzip"),
        (CONTENT, "zstd, gzip", "Content-Encoding: zstd"),
        (CONTENT, "x" * 100, "something that is no name"),
        (PACKED[:-20], "gzip", "damaged or cut off"),
        (PACKED[:200] + b"?" * 50 + PACKED[250:], "gzip", "damaged or cut off"),
        (PACKED + b"\x1f\x8bmore", "gzip", "damaged or cut off"),
        (b"\x1f\x8b", "gzip", "damaged or cut off"),
    ],
)
def test_what_cannot_be_decoded_is_named_and_not_tried_again(
    web: Web, tmp_path: Path, content: bytes, encoding: str, said: str
) -> None:
    failure = refused(stored(web, content, encoding), tmp_path / "song")
    assert failure.code is ErrorCode.AUDIO_UNREADABLE
    assert said in failure.message
    assert len(web.requests) == 1


@pytest.mark.parametrize("limit", [len(CONTENT), len(CONTENT) - 1])
def test_a_file_of_the_bucket_is_decoded_too(
    storage: S3Service, tmp_path: Path, limit: int
) -> None:
    key = f"_inputs/{'0' * 32}/song"
    storage.client.put_object(Bucket=storage.bucket, Key=key, Body=PACKED, ContentEncoding="gzip")
    fetching = StoredDownload(
        storage,
        "",
        storage.url(key),
        tmp_path / "song",
        limit,
        Scratch(tmp_path),
        CancelToken(),
        lambda _share: None,
    )
    if limit < len(CONTENT):
        with pytest.raises(Failure) as caught:
            fetching.run()
        assert caught.value.code is ErrorCode.SOURCE_TOO_LARGE
        return
    fetching.run()
    assert (tmp_path / "song").read_bytes() == CONTENT
