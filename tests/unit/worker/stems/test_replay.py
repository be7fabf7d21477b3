"""Files of every format, read by the programs and libraries of others.

libsndfile reads mp3 with mpg123. What is tried at length is `make bench ONLY=replay`.
"""

from dataclasses import replace
from pathlib import Path

import av
import mutagen
import pytest
import soundfile
from tests.support.stems import encode

from bench import readers
from bench.audio_files import noise
from splitjob.resource import Format
from splitjob_worker.stems import tags, wav
from splitjob_worker.stems.encode import StemFile
from splitjob_worker.stems.encoding import BitDepth, Encoding

RATE = 44100
ENCODINGS = [
    Encoding("wav", 16), Encoding("wav", 24), Encoding("wav", 32), Encoding("flac", 16),
    Encoding("flac", 24), Encoding("mp3"), Encoding("m4a"), Encoding("opus"),
]  # fmt: skip
LARGE = 5 << 30  # bytes: too many for 32 bits
M4A_PRIMING = 1024  # samples
TAGS = {"title": "Söng", "album_artist": "C"}
NAMES_OF_TAGS: dict[Format, tuple[str, str]] = {
    "wav": ("TIT2", "TPE2"), "mp3": ("TIT2", "TPE2"), "m4a": ("\xa9nam", "aART"),
    "flac": ("title", "albumartist"), "opus": ("title", "albumartist"),
}  # fmt: skip


def name_of(encoding: Encoding) -> str:
    return f"{encoding.format}-{encoding.bit_depth}"


@pytest.mark.parametrize("frames", [1152, RATE + 7])
@pytest.mark.parametrize("encoding", ENCODINGS, ids=name_of)
def test_every_reader_finds_a_stem_as_long_as_it_is_and_not_late(
    tmp_path: Path, encoding: Encoding, frames: int
) -> None:
    rate = encoding.rate(RATE)
    sound = noise(rate, frames)
    made = encode(sound, encoding, tmp_path, rate=rate)
    for reader, read in readers.of_format(encoding.format).items():
        found = read(made.path)
        assert (reader, len(found)) == (reader, frames)
        assert (reader, readers.delay(found, sound)) == (reader, 0)


@pytest.mark.parametrize("encoding", ENCODINGS, ids=name_of)
def test_mutagen_tells_length_and_tags(tmp_path: Path, encoding: Encoding) -> None:
    rate = encoding.rate(RATE)
    encoding = replace(encoding, tags=TAGS)
    made = encode(noise(rate, rate + 7), encoding, tmp_path, rate=rate)
    priming = M4A_PRIMING if encoding.format == "m4a" else 0  # mutagen reads no edit list
    assert readers.told_by_mutagen(made.path, rate) == rate + 7 + priming
    found = mutagen.File(made.path).tags
    title, album_artist = NAMES_OF_TAGS[encoding.format]
    assert (str(found[title][0]), str(found[album_artist][0])) == ("Söng (x)", "C")


@pytest.mark.parametrize("frames", [1, 1024, 1025, RATE + 7])
@pytest.mark.parametrize("song_tags", [{}, TAGS])
def test_an_m4a_says_as_itunes_does_what_is_not_sound(
    tmp_path: Path, frames: int, song_tags: dict[str, str]
) -> None:
    made = encode(noise(RATE, frames), Encoding("m4a", tags=song_tags), tmp_path)
    with av.open(str(made.path)) as file:
        packets = sum(1 for packet in file.demux(audio=0) if packet.size)
    note = bytes(mutagen.File(made.path)["----:com.apple.iTunes:iTunSMPB"][0]).decode()
    priming, padding, samples = (int(word, 16) for word in note.split()[1:4])
    assert (priming, samples) == (M4A_PRIMING, frames)
    assert priming + samples + padding == packets * 1024


def test_stems_in_opus_have_serial_numbers_that_differ(tmp_path: Path) -> None:
    """As of all streams of a file, which is what they become where they are joined."""
    serials = set()
    for stem in ("vocals", "drums"):
        file = StemFile(stem, 1000, RATE, Encoding("opus"), tmp_path)
        file.write(noise(RATE, 1000))
        serials.add(file.close(1.0).path.read_bytes()[14:18])
    assert len(serials - {bytes(4)}) == 2


@pytest.mark.parametrize(
    ("depth", "form", "subtype"),
    [(16, "WAV", "PCM_16"), (24, "WAVEX", "PCM_24"), (32, "WAVEX", "FLOAT")],
)
def test_a_wav_above_16_bits_is_extensible(
    tmp_path: Path, depth: BitDepth, form: str, subtype: str
) -> None:
    made = encode(noise(RATE, 1000), Encoding("wav", depth), tmp_path)
    found = soundfile.info(made.path)
    assert (found.format, found.subtype) == (form, subtype)


@pytest.mark.parametrize("depth", [16, 24, 32])
def test_a_wav_above_4_gib_is_read_to_its_last_sample(tmp_path: Path, depth: BitDepth) -> None:
    """The file has a hole where nobody looks: its samples are silence, but for the last second."""
    last = noise(RATE, RATE)
    frames = LARGE // (depth // 4)
    path = tmp_path / "large.wav"
    with path.open("wb") as file:
        head = wav.header(frames, RATE, depth, tags.riff_chunks(TAGS))
        file.write(head)
        file.seek(len(head) + (frames - len(last)) * depth // 4)
        file.write(wav.quantise(last, depth))
    found = soundfile.info(path)
    assert (found.format, found.frames) == ("RF64", frames)
    assert readers.delay(soundfile.read(path, start=frames - len(last))[0], last) == 0
    again = readers.ffmpeg(path, start=(frames - len(last)) / RATE)
    assert (len(again), readers.delay(again, last)) == (len(last), 0)
