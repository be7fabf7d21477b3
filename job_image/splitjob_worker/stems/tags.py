"""A song's tags in the files of its stems: ID3 in mp3, LIST INFO and ID3 in wav.

Of a wav, some readers know the one chunk and some the other; LIST INFO has no place for every tag.

The tags are those of `source.tags`, cleaned; FFmpeg writes those of the other formats.
"""

import struct
from collections.abc import Mapping

# By FFmpeg's name: frame of ID3v2.4 (id3.org/id3v2.4.0-frames), chunk of RIFF INFO or None.
FIELDS: dict[str, tuple[bytes, bytes | None]] = {
    "title": (b"TIT2", b"INAM"),
    "artist": (b"TPE1", b"IART"),
    "album": (b"TALB", b"IPRD"),
    "album_artist": (b"TPE2", None),
    "composer": (b"TCOM", None),
    "genre": (b"TCON", b"IGNR"),
    "date": (b"TDRC", b"ICRD"),
    "track": (b"TRCK", b"IPRT"),
    "disc": (b"TPOS", None),
}


def for_stem(tags: Mapping[str, str], stem: str) -> dict[str, str]:
    """Return a song's tags for one of its stems; the title becomes `Song (vocals)`."""
    title = {"title": f"{tags['title']} ({stem})"} if "title" in tags else {}
    return {**tags, **title}


def id3(tags: Mapping[str, str]) -> bytes:
    """Return an ID3v2.4 tag in UTF-8 (id3.org/id3v2.4.0-structure); empty without tags."""
    frames = b"".join(_frame(FIELDS[name][0], text) for name, text in tags.items())
    return b"ID3\4\0\0" + _synchsafe(len(frames)) + frames if frames else b""


def riff_chunks(tags: Mapping[str, str]) -> bytes:
    """Return a song's tags as chunks of a WAV file; empty without tags."""
    content = id3(tags)
    return riff_info(tags) + (_chunk(b"id3 ", content) if content else b"")


def riff_info(tags: Mapping[str, str]) -> bytes:
    """Return a LIST INFO chunk in UTF-8 (RIFF MCI 3.0, chapter 2); empty without tags."""
    named = ((FIELDS[name][1], text) for name, text in tags.items())
    chunks = b"".join(_chunk(chunk, text.encode() + b"\0") for chunk, text in named if chunk)
    return _chunk(b"LIST", b"INFO" + chunks) if chunks else b""


def _chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def _frame(name: bytes, text: str) -> bytes:
    content = b"\3" + text.encode()
    return name + _synchsafe(len(content)) + b"\0\0" + content


def _synchsafe(number: int) -> bytes:
    return bytes(number >> shift & 0x7F for shift in (21, 14, 7, 0))
