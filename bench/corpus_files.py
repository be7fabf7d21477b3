"""Some three hundred audio files of many kinds, whole and damaged, written on the spot.

What each holds is known: a second of sound, the same in all files of one rate and layout.
"""

import random
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from bench.audio_files import Samples, tones, write_audio, write_video
from bench.broken_audio import WRITTEN

SECONDS = 1.0
PIECE_SECONDS = 0.96  # whole frames of each codec at 48 kHz


@dataclass(frozen=True)
class Kind:
    """What a file is written as.

    Attributes:
        suffix: of its name.
        codec: FFmpeg's name.
        container: FFmpeg's name.
        rate: Hz.
        layout: FFmpeg's name of the channels.
        tags: to write.
    """

    suffix: str
    codec: str
    container: str
    rate: int
    layout: str = "stereo"
    tags: bool = False

    def __str__(self) -> str:
        tags = ", tags" if self.tags else ""
        return f"{self.codec} in {self.container}, {self.rate} Hz, {self.layout}{tags}"


@dataclass(frozen=True)
class CorpusFile:
    """One file of the corpus.

    Attributes:
        story: what it is, for people.
        path: of it.
        kind: what it is written as.
        damaged: whether something was done to it that costs sound.
        sound: of a video, from which second to which there is sound; empty: no video.
        like: the files that it sounds like, one behind the other, where FFmpeg by itself reads it
            only in part, or not at all.
    """

    story: str
    path: Path
    kind: Kind
    damaged: bool = False
    sound: tuple[tuple[float, float], ...] = ()
    like: tuple[Path, ...] = ()


Change = Callable[[bytes], bytes]

# Lossless and lossy, with headers that count and without, in the rates and layouts they are met in.
_RATES = (
    ("wav", "pcm_s16le", "wav", (8000, 11025, 22050, 48000, 96000, 192000)),
    ("wav", "pcm_u8", "wav", (8000, 44100)),
    ("wav", "pcm_s32le", "wav", (44100,)),
    ("wav", "pcm_f64le", "wav", (48000,)),
    ("wav", "pcm_alaw", "wav", (8000,)),
    ("wav", "adpcm_ima_wav", "wav", (22050, 44100)),
    ("flac", "flac", "flac", (8000, 22050, 48000, 96000, 192000)),
    ("mp3", "libmp3lame", "mp3", (8000, 16000, 22050, 32000, 48000)),
    ("aac", "aac", "adts", (8000, 22050, 48000, 96000)),
    ("m4a", "aac", "ipod", (8000, 16000, 32000, 48000, 96000)),
    ("m4a", "alac", "ipod", (22050, 48000, 96000)),
    ("mp4", "aac", "mp4", (44100, 48000)),
    ("mov", "pcm_s24le", "mov", (44100, 48000)),
    ("ogg", "vorbis", "ogg", (22050, 48000)),
    ("oga", "flac", "ogg", (22050, 96000)),
    ("mka", "aac", "matroska", (44100, 48000)),
    ("mka", "libmp3lame", "matroska", (44100,)),
    ("mka", "pcm_s16le", "matroska", (22050, 48000)),
    ("mka", "vorbis", "matroska", (44100,)),
    ("aiff", "pcm_s24be", "aiff", (22050, 48000)),
    ("au", "pcm_s16be", "au", (8000, 48000)),
    ("caf", "pcm_s16le", "caf", (44100, 48000)),
    ("ac3", "ac3", "ac3", (32000, 44100)),
    ("wv", "wavpack", "wv", (22050, 96000)),
    ("tta", "tta", "tta", (22050, 96000)),
)
_LAYOUTS = (
    ("wav", "pcm_s16le", "wav", 44100),
    ("wav", "pcm_f32le", "wav", 48000),
    ("flac", "flac", "flac", 44100),
    ("m4a", "aac", "ipod", 48000),
    ("opus", "libopus", "ogg", 48000),
    ("mka", "flac", "matroska", 44100),
    ("ac3", "ac3", "ac3", 48000),
    ("wv", "wavpack", "wv", 44100),
)
_ALONE = {"pcm_u8", "libopencore_amrnb", "real_144", "pcm_alaw"}  # they are written in mono
_CUT = {"ipod", "mov", "mp4", "3gp", "caf"}  # whose index at the end is lost with it

_VIDEOS = (
    ("mov", "aac"), ("mp4", "aac"), ("mkv", "aac"), ("mkv", "libopus"), ("mkv", "pcm_s16le"),
    ("mkv", "ac3"), ("ts", "aac"), ("ts", "ac3"), ("flv", "aac"), ("mpg", "mp2"),
    ("avi", "aac"),
)  # fmt: skip


def kinds() -> Iterator[Kind]:
    """Yield every kind of file that is written."""
    for suffix, codec, container, rate in WRITTEN:
        layout = "mono" if codec in _ALONE else "stereo"
        yield Kind(suffix, codec, container, rate, layout)
        if container not in ("voc", "amr", "rm", "wsaud"):
            yield Kind(suffix, codec, container, rate, layout, tags=True)
    for suffix, codec, container, rates in _RATES:
        for rate in rates:
            yield Kind(suffix, codec, container, rate, "mono" if codec in _ALONE else "stereo")
    for suffix, codec, container, rate in _LAYOUTS:
        for layout in ("mono", "quad", "5.1"):
            yield Kind(suffix, codec, container, rate, layout)


def sound_of(kind: Kind) -> Samples:
    """Return what a file of a kind holds, shape (channels, n): tones, and noise in every band."""
    channels = {"mono": 1, "stereo": 2, "quad": 4, "5.1": 6}[kind.layout]
    noise = np.random.default_rng(channels).normal(0, 0.05, (channels, round(SECONDS * kind.rate)))
    return tones(kind.rate, SECONDS, channels) + noise.astype(np.float32)


def write(kind: Kind, path: Path) -> Path:
    """Write a whole file."""
    tags = {"title": "A title, größer", "artist": "x" * 300, "comment": "y" * 5000}
    return write_audio(
        path, sound_of(kind), kind.rate, kind.layout, kind.codec, kind.container,
        128_000 if kind.codec == "wmav2" else None, tags if kind.tags else None,
    )  # fmt: skip


def corpus(folder: Path) -> Iterator[CorpusFile]:
    """Write the files one by one into a folder; yield each as soon as it is there."""
    for place, kind in enumerate(kinds()):
        whole = write(kind, folder / f"{place}.{kind.suffix}")
        yield CorpusFile(str(kind), whole, kind)
        if place % 2 == 0:
            yield from _changed(whole, kind)
    yield from _chained(folder)
    yield from _videos(folder)


def _changed(whole: Path, kind: Kind) -> Iterator[CorpusFile]:
    content = whole.read_bytes()
    damages: list[tuple[str, Change]] = [
        ("zeros in it", _overwritten(bytes)),
        ("noise in it", _overwritten(random.Random(0).randbytes)),
    ]
    if kind.container not in _CUT:
        damages.append(("cut off", lambda one: one[: len(one) * 7 // 10]))
    hidden: list[tuple[str, Change]] = []
    if kind.container in ("mp3", "flac", "adts", "wav", "ogg", "ipod"):
        hidden.append(("a large tag in front", lambda one: _tag(1_200_000) + one))
        hidden.append(("blanks in front", lambda one: b"\r\n" * 40 + one))
    if kind.container == "ipod":
        hidden.append(("zeros between its boxes", _with_zeros_before_the_index))
    if kind.container == "wav" and kind.codec == "pcm_s16le":
        hidden += [(f"a size of {size:#x}", _sized(size)) for size in (0, 0xFFFFFFFF)]
    for number, (story, change) in enumerate([*damages, *hidden]):
        path = whole.with_name(f"{whole.stem}-{number}{whole.suffix}")
        path.write_bytes(change(content))
        damaged = number < len(damages)
        like = () if damaged else (whole,)
        yield CorpusFile(f"{kind}, {story}", path, kind, damaged, like=like)


def _overwritten(by: Callable[[int], bytes]) -> Change:
    def change(content: bytes) -> bytes:
        begin, count = len(content) // 2, len(content) // 10
        return content[:begin] + by(count) + content[begin + count :]

    return change


def _tag(size: int) -> bytes:
    """Return an empty ID3v2.4 tag of a size."""
    return b"ID3\4\0\0" + bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0)) + bytes(size)


def _with_zeros_before_the_index(content: bytes) -> bytes:
    index = content.rindex(b"moov") - 4
    return content[:index] + bytes(100) + content[index:]


def _sized(size: int) -> Change:
    def change(content: bytes) -> bytes:
        place = content.index(b"data") + 4
        return content[:place] + struct.pack("<I", size) + content[place + 4 :]

    return change


def _chained(folder: Path) -> Iterator[CorpusFile]:
    kinds_of_links = (
        Kind("ogg", "vorbis", "ogg", 44100),
        Kind("ogg", "flac", "ogg", 44100),
        Kind("ogg", "vorbis", "ogg", 44100, tags=True),
    )
    links = [write(kind, folder / f"link-{at}.ogg") for at, kind in enumerate(kinds_of_links)]
    for number, chain in enumerate(product(links, links)):
        path = folder / f"chained-{number}.ogg"
        path.write_bytes(b"".join(link.read_bytes() for link in chain))
        story = f"chained: {', then '.join(link.stem for link in chain)}"
        yield CorpusFile(story, path, kinds_of_links[0], like=chain)


def _videos(folder: Path) -> Iterator[CorpusFile]:
    piece = tones(48000, PIECE_SECONDS, 2)
    stories: Sequence[tuple[str, list[tuple[float, Samples]]]] = (
        ("whole", [(0, piece)]),
        ("late", [(0.5, piece)]),
        ("with a hole", [(0, piece), (1.5, piece)]),
    )
    for suffix, codec in _VIDEOS:
        kind = Kind(suffix, codec, f"video.{suffix}", 48000)
        for story, pieces in stories:
            path = folder / f"{codec}-{story}.{suffix}"
            write_video(path, pieces, codec=codec)
            sound = tuple((begin, begin + PIECE_SECONDS) for begin, _ in pieces)
            yield CorpusFile(f"{kind}, {story}", path, kind, sound=sound)
