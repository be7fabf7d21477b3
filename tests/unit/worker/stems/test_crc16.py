"""The checksum of streams."""

from hypothesis import given
from hypothesis import strategies as st

from splitjob_worker.stems import crc16


def test_the_published_check_value() -> None:
    """Of CRC-16/ARC, in the catalogue of parametrised CRC algorithms."""
    assert crc16.update(0, b"123456789") == 0xBB3D


@given(st.binary(min_size=1, max_size=5000), st.data())
def test_pieces_of_any_size_give_what_the_whole_gives(content: bytes, data: st.DataObject) -> None:
    state, start = 0, 0
    while start < len(content):
        end = data.draw(st.integers(start + 1, len(content)))
        state = crc16.update(state, content[start:end])
        start = end
    assert state == crc16.update(0, content)
