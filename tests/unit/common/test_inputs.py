"""Keys of files from POST /uploads: what they may hold, and which addresses name one."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitjob.inputs import Inputs
from splitjob.result import storage_prefix
from splitjob.spec import VERSION_ID_PATTERN

INPUTS = Inputs("stems", "songs/prod")
DIGITS = "0123456789abcdef" * 2


@given(st.text(max_size=2000))
def test_any_name_gives_a_key_that_is_known_again(file_name: str) -> None:
    """Acceptance 28a."""
    key = INPUTS.new_key(file_name)
    assert INPUTS.key_of(INPUTS.url_of(key)) == key
    assert re.fullmatch(r"songs/prod/_inputs/[0-9a-f]{32}/[A-Za-z0-9][A-Za-z0-9._-]{0,63}", key)


@pytest.mark.parametrize(
    ("file_name", "name"),
    [
        ("song.wav", "song.wav"),
        ("C:\\music\\My Song (live).flac", "My-Song-live.flac"),
        ("../../manifest.json", "manifest.json"),
        ("Déjà vu.mp3", "Deja-vu.mp3"),
        ("песня.wav", "audio.wav"),
        ("a\x00\n\r\tb.wav", "a-b.wav"),
        ("x" * 5000 + ".aiff", "x" * 59 + ".aiff"),
        ("...", "audio"),
        ("/", "audio"),
        ("", "audio"),
    ],
)
def test_what_stays_of_a_name(file_name: str, name: str) -> None:
    assert INPUTS.new_key(file_name).rpartition("/")[2] == name


def test_no_file_has_the_key_of_another() -> None:
    assert INPUTS.new_key("song.wav") != INPUTS.new_key("song.wav")


@pytest.mark.parametrize(
    "url",
    [
        f"s3://stems/songs/prod/song-1/{DIGITS}/song.wav",
        f"s3://other/songs/prod/_inputs/{DIGITS}/song.wav",
        f"s3://stems/_inputs/{DIGITS}/song.wav",
        f"s3://stems/songs/prod/_inputs/{DIGITS}/a/song.wav",
        f"s3://stems/songs/prod/_inputs/{DIGITS}/..",
        f"s3://stems/songs/prod/_inputs/{DIGITS}/",
        f"s3://stems/songs/prod/_inputs/{DIGITS.upper()}/song.wav",
        f"s3://stems/songs/prod/_inputs/{DIGITS}/song.wav\n",
        "s3://stems/songs/prod/_inputs/short/song.wav",
        "s3://stems/songs/prod/song-1/split-a/vocals.wav",
        f"songs/prod/_inputs/{DIGITS}/song.wav",
        f"https://stems/songs/prod/_inputs/{DIGITS}/song.wav",
    ],
)
def test_an_address_of_anything_else_names_none(url: str) -> None:
    assert INPUTS.key_of(url) is None


@given(st.from_regex(VERSION_ID_PATTERN, fullmatch=True))
def test_no_jobs_objects_are_there(version_id: str) -> None:
    for prefix in ("", "songs/prod"):
        outputs = f"{storage_prefix(prefix, version_id, DIGITS)}/vocals.wav"
        assert not outputs.startswith(Inputs("stems", prefix).folder)
