"""Clip modes, and samples turned into bytes."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitjob_worker.stems import clipping, tags, wav
from splitjob_worker.stems.encoding import BitDepth, ClipMode

PEAKS = {"drums": 1.25, "bass": 0.5, "vocals": 2.0}


def test_rescale_is_demucs_own_for_each_stem() -> None:
    gains = clipping.gains(PEAKS, "rescale")
    assert gains == {"drums": 1 / (1.01 * 1.25), "bass": 1.0, "vocals": 1 / 2.02}


def test_shared_is_one_gain_so_that_the_stems_still_sum_to_the_mixture() -> None:
    assert set(clipping.gains(PEAKS, "shared").values()) == {1 / 2.02}


@given(
    st.lists(st.floats(-4, 4, width=32), min_size=2, max_size=40),
    st.sampled_from(["rescale", "shared", "clamp", "tanh", "none"]),
)
def test_what_is_bounded_never_exceeds_full_scale(values: list[float], mode: ClipMode) -> None:
    block = np.array(values[: len(values) // 2 * 2], np.float32).reshape(-1, 2)
    gain = clipping.gains({"x": float(np.abs(block).max())}, mode)["x"]
    assert np.abs(clipping.apply(block, gain, mode, bounded=True)).max() <= 1.0


def test_float_without_clipping_is_left_alone() -> None:
    block = np.array([[2.0, -3.0]], np.float32)
    assert np.array_equal(clipping.apply(block, 1.0, "none", bounded=False), block)
    assert np.array_equal(
        clipping.apply(block, 1.0, "clamp", bounded=False), np.array([[0.99, -0.99]], np.float32)
    )


def test_samples_are_truncated_as_demucs_does() -> None:
    block = np.array([[0.5, -0.5], [1.0, -1.0], [1e-6, -1e-6]], np.float32)
    assert np.frombuffer(wav.quantise(block, 16), "<i2").tolist() == [
        16383, -16383, 32767, -32767, 0, 0,
    ]  # fmt: skip
    first = wav.quantise(block, 24)[:6]
    assert int.from_bytes(first[:3], "little", signed=True) == 4194303
    assert int.from_bytes(first[3:], "little", signed=True) == -4194303
    assert np.array_equal(np.frombuffer(wav.quantise(block, 32), "<f4").reshape(-1, 2), block)


def chunks(head: bytes) -> dict[bytes, bytes]:
    """The chunks of a header, by name; the last one's content is missing."""
    found, position = {}, 12
    while position < len(head):
        name, size = struct.unpack("<4sI", head[position : position + 8])
        found[name] = head[position + 8 : position + 8 + size]
        position += 8 + len(found[name])
    return found


@pytest.mark.parametrize(("depth", "kind"), [(16, 1), (24, 1), (32, 3)])
def test_a_riff_header(depth: BitDepth, kind: int) -> None:
    head = wav.header(1000, 44100, depth)
    assert head[:4] == b"RIFF"
    block = depth // 4
    assert struct.unpack("<I", head[4:8])[0] == len(head) - 8 + 1000 * block
    form = chunks(head)[b"fmt "]
    tag = kind if depth == 16 else 0xFFFE
    assert struct.unpack("<HHIIHH", form[:16]) == (tag, 2, 44100, 44100 * block, block, depth)
    if depth > 16:
        assert struct.unpack("<HHII", form[16:28]) == (22, depth, 3, kind)
        assert form[28:] == bytes.fromhex("00001000800000aa00389b71")
    assert (b"fact" in chunks(head)) == (depth == 32)
    assert struct.unpack("<I", head[-4:])[0] == 1000 * block


def test_a_header_with_tags_says_how_long_it_is() -> None:
    info = tags.riff_chunks({"title": "Song", "artist": "Somebody"})
    for frames in (1000, 1 << 31):
        head = wav.header(frames, 44100, 16, info)
        assert info in head
        riff = struct.unpack("<I", head[4:8])[0]
        if head[:4] == b"RF64":
            riff = struct.unpack("<QQQI", chunks(head)[b"ds64"])[0]
        assert riff == len(head) - 8 + 4 * frames


def test_rf64_begins_where_32_bits_end() -> None:
    """Contract, section 2: wav above 4 GiB becomes RF64."""
    largest = (0xFFFFFFFF - 36) // 4
    assert wav.header(largest, 44100, 16)[:4] == b"RIFF"
    head = wav.header(largest + 1, 44100, 16)
    assert head[:4] == b"RF64"
    riff, data, frames, _ = struct.unpack("<QQQI", chunks(head)[b"ds64"])
    assert (data, frames) == (4 * (largest + 1), largest + 1)
    assert riff == len(head) - 8 + data
    assert next(iter(chunks(head))) == b"ds64"
    assert struct.unpack("<I", head[-4:])[0] == 0xFFFFFFFF
