"""Which bytes of a file are taken for its sound, whatever the file is."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitjob.errors import ErrorCode, Failure
from splitjob_worker.source.parts import Part, parts_of

PIECES = (
    b"OggS\0", b"OggS\0\2", b"RIFF", b"WAVE", b"data", b"fmt ", b"LIST", b"ID3\4\0\0", b" ", b"\n",
    bytes(16), bytes(4), b"\xff\xff\xff\xff", b"\1\0\0\0", b"\x7f\x7f\x7f\x7f", b"\0\0\0\4",
)  # fmt: skip


def parts(content: bytes) -> list[Part]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "source")
        path.write_bytes(content)
        return parts_of(path)


def parts_or_refusal(content: bytes) -> list[Part] | ErrorCode:
    try:
        return parts(content)
    except Failure as failure:
        return failure.code


@given(st.lists(st.sampled_from(PIECES) | st.binary(max_size=40), max_size=30).map(b"".join))
def test_of_any_bytes_the_parts_are_in_order_and_inside_the_file(content: bytes) -> None:
    found = parts_or_refusal(content)
    if not isinstance(found, list):
        assert found is ErrorCode.AUDIO_UNREADABLE
        return
    places = [place for part in found for place in (part.start, part.end)]
    assert places == sorted(places)
    assert all(0 <= part.tag <= part.start < part.end <= len(content) for part in found)


def test_a_file_of_no_special_kind_is_one_part() -> None:
    assert parts(b"fLaC and what follows") == [Part(0, 21)]


def test_what_begins_with_a_few_zeros_begins_there() -> None:
    box = (32).to_bytes(4) + b"ftypM4A " + bytes(20)
    assert parts(box) == [Part(0, len(box))]
    assert parts(b"\n" + box) == [Part(1, 1 + len(box))]


@pytest.mark.parametrize(
    "start",
    [b"\0\0\0\x1cftypM4A ", b"\0\0\1\x1cftypisom", b"\0\0\1\xba", b"\x0b\x77", b"ID3"],
    ids=["iso media", "iso media of a long box", "mpeg", "ac3", "mp3"],
)
@pytest.mark.parametrize("zeros", [0, 16, 5000])
def test_zeros_that_a_format_begins_with_are_left_to_it(start: bytes, zeros: int) -> None:
    [part] = parts(bytes(zeros) + start + b"\xff" * 100)
    assert part.start == zeros


def test_a_file_of_blanks_alone_has_no_part() -> None:
    assert parts(b"") == []
    assert parts(b" \n" * 40_000 + bytes(70_000)) == []


def test_a_tag_that_says_it_is_longer_than_the_file_is_none() -> None:
    assert parts(b"ID3\4\0\0\x7f\x7f\x7f\x7f and so on") == [Part(0, 20)]
