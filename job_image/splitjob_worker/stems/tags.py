"""What a source says of itself: title, artist and the like, kept in the stems' files.

Names are FFmpeg's. Values come from strangers: they are few, short, and plain text.
"""

import struct
import unicodedata
from collections.abc import Mapping

# FFmpeg's name: frame of ID3v2.4 (id3.org/id3v2.4.0-frames), chunk of RIFF INFO or None.
_KNOWN: dict[str, tuple[bytes, bytes | None]] = {
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
MAX_LENGTH = 256


def cleaned(found: Mapping[str, object]) -> dict[str, str]:
    """Return those tags that are kept, as plain text of at most `MAX_LENGTH` characters.

    Control, format and other characters that are not seen are dropped, white space is one space.
    """
    given = {str(name).lower(): str(value) for name, value in found.items()}
    texts = {name: _plain(given[name]) for name in _KNOWN if name in given}
    return {name: text for name, text in texts.items() if text}


def for_stem(tags: Mapping[str, str], stem: str) -> dict[str, str]:
    """Return a song's tags as a stem has them: `Song (vocals)`."""
    title = {"title": f"{tags['title']} ({stem})"} if "title" in tags else {}
    return {**tags, **title}


def id3(tags: Mapping[str, str]) -> bytes:
    """Return an ID3v2.4 tag in UTF-8 (id3.org/id3v2.4.0-structure); empty where there are none."""
    frames = b"".join(_frame(_KNOWN[name][0], text) for name, text in tags.items())
    return b"ID3\4\0\0" + _synchsafe(len(frames)) + frames if frames else b""


def riff_info(tags: Mapping[str, str]) -> bytes:
    """Return a LIST INFO chunk in UTF-8 (RIFF MCI 3.0, chapter 2); empty where there are none."""
    chunks = b""
    for name, text in tags.items():
        if chunk := _KNOWN[name][1]:
            content = text.encode() + b"\0"
            chunks += chunk + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)
    return b"LIST" + struct.pack("<I", 4 + len(chunks)) + b"INFO" + chunks if chunks else b""


def _plain(text: str) -> str:
    spaced = "".join(" " if one.isspace() or one == "\0" else one for one in text[: 4 * MAX_LENGTH])
    seen = "".join(one for one in spaced if unicodedata.category(one)[0] != "C")
    return " ".join(seen.split())[:MAX_LENGTH].rstrip()


def _frame(name: bytes, text: str) -> bytes:
    content = b"\3" + text.encode()
    return name + _synchsafe(len(content)) + b"\0\0" + content


def _synchsafe(number: int) -> bytes:
    return bytes(number >> shift & 0x7F for shift in (21, 14, 7, 0))
