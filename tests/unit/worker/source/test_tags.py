"""Which tags of a source are kept, and that the stems' files have a field for each."""

from splitjob_worker.source.tags import KEPT, MAX_LENGTH, cleaned
from splitjob_worker.stems.tags import FIELDS


def test_every_tag_that_is_kept_has_a_field_in_the_files() -> None:
    assert set(KEPT) == set(FIELDS)


def test_names_are_found_in_any_case_and_others_are_dropped() -> None:
    assert cleaned({"Title": "a", "ARTIST": "b", "encoder": "x"}) == {"title": "a", "artist": "b"}


def test_a_value_is_cut_and_invisible_characters_are_dropped() -> None:
    found = cleaned({"title": "a\u202e\x07b" + "x" * 2 * MAX_LENGTH, "album": "\u200b \n"})
    assert found == {"title": "ab" + "x" * (MAX_LENGTH - 2)}
