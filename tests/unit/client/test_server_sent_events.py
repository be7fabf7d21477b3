"""Reading server-sent events, however the stream is cut."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from splitjob_client.server_sent_events import EventDecoder, ServerSentEvent

STREAM = (
    b': hello\r\n\r\nretry: 1500\nid: 7\nevent: job\ndata: {"a":\ndata: 1}\n\n'
    b"data:plain\r\rid\n: still here\n\nevent: empty\n\nid: 9\ndata: \xe2\x80\xa8x\n\ndata: cut off"
)
EVENTS = [
    ServerSentEvent("job", '{"a":\n1}', "7"),
    ServerSentEvent("message", "plain", "7"),
    ServerSentEvent("message", "\u2028x", "9"),
]


@given(st.lists(st.integers(0, len(STREAM)), max_size=8))
def test_a_stream_says_the_same_however_it_is_cut(places: list[int]) -> None:
    decoder = EventDecoder()
    cuts = [0, *sorted(places), len(STREAM)]
    pieces = [STREAM[begin:end] for begin, end in pairwise(cuts)]
    assert [event for piece in pieces for event in decoder.feed(piece)] == EVENTS
    assert decoder.retry_seconds == 1.5


def test_a_byte_order_mark_is_no_part_of_the_first_field() -> None:
    decoder = EventDecoder()
    pieces = [b"\xef", b"\xbb", b"\xbfdata: x\n\n"]
    found = [event for piece in pieces for event in decoder.feed(piece)]
    assert found == [ServerSentEvent("message", "x", "")]


def test_an_id_stays_until_another_one_comes() -> None:
    decoder = EventDecoder(last_id="3")
    assert [one.last_id for one in decoder.feed(b"data: x\n\nid: 4\ndata: y\n\n")] == ["3", "4"]
    assert [one.last_id for one in decoder.feed(b"id: a\0b\ndata: z\n\n")] == ["4"]


@given(st.lists(st.binary()))
def test_any_bytes_are_read(pieces: list[bytes]) -> None:
    decoder = EventDecoder()
    for piece in pieces:
        assert all("\n\n" not in one.name for one in decoder.feed(piece))
