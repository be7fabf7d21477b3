"""Tables, times, and text that others wrote."""

from datetime import UTC, datetime

from track_tree_audio.service.output import about, age, clean, table


def test_a_table_is_as_wide_as_it_needs() -> None:
    assert table(("A", "LONG"), [("aaa", "b"), ("", "")]) == "A     LONG\naaa   b\n"


def test_times_claim_no_more_than_is_known() -> None:
    assert [about(seconds) for seconds in (0, 89, 90, 3600, 9000)] == [
        "about 1 s",
        "about 89 s",
        "about 2 min",
        "about 60 min",
        "about 2.5 h",
    ]
    assert age(datetime.now(UTC)) == "0s"
    assert age(datetime(2020, 1, 1, tzinfo=UTC)).endswith("d")


def test_what_others_wrote_moves_no_cursor() -> None:
    assert clean("a\x1b[2J\nb\u202eé") == "a?[2J?b?é"
