"""SPDY framing of `kubectl port-forward`."""

import contextlib
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitjob_kubelet.endpoint.spdy import (
    DICTIONARY,
    Data,
    Decoder,
    Encoder,
    Opened,
    Ping,
    Reset,
    SpdyError,
)


def syn_stream(stream: int, headers: dict[str, str], deflate: "zlib._Compress") -> bytes:
    block = struct.pack("!I", len(headers))
    for text in (text for pair in headers.items() for text in pair):
        block += struct.pack("!I", len(text)) + text.encode()
    body = struct.pack("!IIH", stream, 0, 0)
    body += deflate.compress(block) + deflate.flush(zlib.Z_SYNC_FLUSH)
    return struct.pack("!HHI", 0x8003, 1, len(body)) + body


def test_the_dictionary_is_the_one_of_the_specification() -> None:
    assert zlib.adler32(DICTIONARY) == 0xE3C6A7C2


@given(cut=st.integers(min_value=1, max_value=20))
def test_frames_come_in_pieces(cut: int) -> None:
    deflate = zlib.compressobj(zdict=DICTIONARY)
    headers = {"streamtype": "data", "port": "8080"}
    stream = syn_stream(1, headers, deflate) + syn_stream(3, headers, deflate)
    stream += struct.pack("!II", 1, 0x01000000 | 5) + b"hello"
    stream += struct.pack("!HHII", 0x8003, 6, 4, 7) + struct.pack("!HHIII", 0x8003, 3, 8, 3, 5)
    decoder = Decoder()

    pieces = [stream[at : at + cut] for at in range(0, len(stream), cut)]
    frames = [frame for piece in pieces for frame in decoder.feed(piece)]

    opened = [Opened(1, headers, final=False), Opened(3, headers, final=False)]
    assert frames == [*opened, Data(1, b"hello", final=True), Ping(7), Reset(3)]


@given(st.lists(st.tuples(st.integers(1, 2**31 - 1), st.binary(), st.booleans())))
def test_data_comes_back(messages: list[tuple[int, bytes, bool]]) -> None:
    encoder = Encoder()
    stream = b"".join(encoder.data(*message) for message in messages)
    assert list(Decoder().feed(stream)) == [Data(*message) for message in messages]


@given(st.binary())
def test_anything_else_is_refused_or_waits(data: bytes) -> None:
    with contextlib.suppress(SpdyError):
        list(Decoder().feed(data))


def test_another_version_is_refused() -> None:
    with pytest.raises(SpdyError, match="not SPDY/3"):
        list(Decoder().feed(struct.pack("!HHI", 0x8002, 1, 0)))
