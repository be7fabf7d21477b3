"""iTunes' note of what an m4a has before and behind its sound, which FFmpeg does not write.

FFmpeg's edit list says the same; but there are players that read the one, and some the other.
Source: "iTunSMPB" of https://www.hydrogenaudio.org's wiki; ISO/IEC 14496-12 for boxes.
"""

import struct
from pathlib import Path

_HEADER = struct.Struct(">I4s")
_PLACE = (b"udta", b"meta", b"ilst")
_NO_FLAGS = bytes(4)
_UTF8 = struct.pack(">II", 1, 0)
_CHILDREN_AT = {b"meta": 12}  # where those of other boxes are at 8


def add_gapless_note(path: Path, priming: int, samples: int, padding: int) -> None:
    """Write the note into a finished m4a.

    Args:
        path: the file; the index is the last of its boxes.
        priming: samples per channel before the sound.
        samples: of the sound.
        padding: behind it.

    Raises:
        OSError: the disk is full.
        RuntimeError: the file is no m4a of that kind.
    """
    with path.open("r+b") as file:
        start = 0
        while header := file.read(16):
            size, name = _HEADER.unpack(header[:8])
            if size == 1:
                size = int.from_bytes(header[8:], "big")
            file.seek(start)
            if name == b"moov":
                index = file.read(size)
                file.seek(start)
                file.write(_with(index, _PLACE, _note(priming, samples, padding)))
                return
            start += size
            file.seek(start)
    raise RuntimeError(f"{path} has no index")


def _note(priming: int, samples: int, padding: int) -> bytes:
    text = f" 00000000 {priming:08X} {padding:08X} {samples:016X}" + 8 * " 00000000"
    mean = _box(b"mean", _NO_FLAGS + b"com.apple.iTunes")
    name = _box(b"name", _NO_FLAGS + b"iTunSMPB")
    return _box(b"----", mean + name + _box(b"data", _UTF8 + text.encode()))


def _with(box: bytes, place: tuple[bytes, ...], added: bytes) -> bytes:
    """Return a box with another one at the end of one inside it.

    Args:
        box: the whole box.
        place: the names of the boxes on the way to the one that grows, from outside.
        added: the other one.
    """
    name = box[4:8]
    if not place:
        return _box(name, box[8:] + added)
    at = _CHILDREN_AT.get(name, 8)
    while at < len(box):
        size, child = _HEADER.unpack_from(box, at)
        if child == place[0]:
            grown = _with(box[at : at + size], place[1:], added)
            return _box(name, box[8:at] + grown + box[at + size :])
        at += size
    raise RuntimeError(f"no {place[0].decode()} in {name.decode()}")


def _box(name: bytes, content: bytes) -> bytes:
    return _HEADER.pack(8 + len(content), name) + content
