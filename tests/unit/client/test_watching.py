"""Event streams that break: they are opened again where they had come to."""

from splitjob_client.watching import EventStream


def test_a_stream_that_breaks_before_its_first_event_goes_on_from_where_it_began() -> None:
    stream = EventStream()
    assert "Last-Event-ID" not in stream.open()
    assert stream.feed(b"retry: 3000\nid: 100\n\n: still here\n\n") == []
    assert stream.open()["Last-Event-ID"] == "100"


def test_an_event_that_was_cut_off_is_asked_for_again() -> None:
    stream = EventStream("100")
    assert stream.feed(b'id: 101\nevent: deleted\ndata: {"jobId":"a') == []
    assert stream.open()["Last-Event-ID"] == "100"
