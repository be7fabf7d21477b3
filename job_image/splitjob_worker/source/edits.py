"""Edits to files that FFmpeg would not read, or would take for damaged, though they are whole.

- Tags between the frames of an mp3, as where several were joined: FFmpeg takes them for sound.
- Zeros between the boxes of ISO base media: FFmpeg takes them for a box that goes on to the end.
- The size of the sound of AIFF and Wave64 where it was never filled in, as in a pipe.
"""

from collections.abc import Iterator

from splitjob_worker.source.content import Content, Edit

__all__ = ["ID3_HEADER", "edits_of", "id3_size"]

ID3_HEADER = 10  # bytes; a footer has as many (ID3v2.4, section 3)
_ID3, _ID3_VERSIONS = b"ID3", (2, 3, 4)
_APE, _APE_HEADER = b"APETAGEX", 32  # bytes of header and of footer (APEv2)
_APE_IS_HEADER = 1 << 29
_MPEG_HEADER = 4

_BOX, _LARGE_BOX = 8, 16  # bytes of a box's header (ISO/IEC 14496-12, 4.2)
_BOX_NAME = 4  # bytes before it
_FIRST_BOX = b"ftyp"
_BOXES = {b"moov", b"mdat", b"free", b"skip", b"wide", b"moof", b"sidx", b"meta", b"uuid", b"udta"}

_AIFF_START, _AIFF_CHUNK = 12, 8
_W64_START, _W64_CHUNK = 40, 24
_W64_FILE = b"riff\x2e\x91\xcf\x11"
_W64_SOUND = b"data\xf3\xac\xd3\x11"


def edits_of(content: Content, start: int) -> tuple[Edit, ...]:
    """Return what is to be read as something else, in order.

    Args:
        content: of the file.
        start: of its sound, behind what stands in front of it.
    """
    first = content.at(start, _AIFF_START)
    if _is_mpeg_frame(first):
        return tuple(sorted(_tags_between_frames(content, start)))
    if first[4:8] == _FIRST_BOX:
        return tuple(_around_zeros(content, start))
    if first.startswith(_W64_FILE):
        return tuple(_unfinished_wave64(content, start))
    if first[:4] == b"FORM" and first[8:] in (b"AIFF", b"AIFC"):
        return tuple(_unfinished_aiff(content, start))
    return ()


def id3_size(header: bytes) -> int:
    """Return how many bytes an ID3v2 tag has by its first ten; 0: they begin none."""
    if len(header) < ID3_HEADER or header[:3] != _ID3 or max(header[6:ID3_HEADER]) > 0x7F:
        return 0
    size = header[6] << 21 | header[7] << 14 | header[8] << 7 | header[9]
    footer = ID3_HEADER if header[5] & 0x10 else 0
    return ID3_HEADER + size + footer


def _tags_between_frames(content: Content, start: int) -> Iterator[Edit]:
    for name in (_ID3, _APE):
        place = start
        while (found := content.find(name, place)) is not None:
            size = _tag_size(content.at(found, _APE_HEADER))
            after = content.after_run(found + size, b"\0") if size else found
            place = max(after, found + len(name))
            if size and _goes_on(content, after):
                yield Edit(found, after)


def _tag_size(header: bytes) -> int:
    """Return how many bytes a tag has by its first ones; 0: they begin none."""
    if header.startswith(_APE) and len(header) == _APE_HEADER:
        size, flags = (int.from_bytes(header[at : at + 4], "little") for at in (12, 20))
        return _APE_HEADER + size if flags & _APE_IS_HEADER else 0
    return id3_size(header) if header[3] in _ID3_VERSIONS else 0


def _goes_on(content: Content, place: int) -> bool:
    """Whether a frame, another tag or the end of an mp3 is at a place."""
    header = content.at(place, len(_APE))
    return not header or header.startswith((_ID3, _APE, b"TAG")) or _is_mpeg_frame(header)


def _is_mpeg_frame(header: bytes) -> bool:
    """Whether bytes begin a frame of MPEG audio, layer I to III (ISO/IEC 11172-3, 2.4.1.3)."""
    if len(header) < _MPEG_HEADER or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return False
    version, layer = header[1] >> 3 & 3, header[1] >> 1 & 3
    return version != 1 and layer != 0 and header[2] >> 4 != 0xF and header[2] >> 2 & 3 != 3


def _around_zeros(content: Content, start: int) -> Iterator[Edit]:
    """Yield the sizes with which each box reaches to the next one."""
    place = start
    while (size := _box_size(content, place)) and place + size < content.size:
        following = _next_box(content, place + size)
        if following is None:
            return
        if following > place + size:
            yield _resized(content, place, following - place)
        place = following


def _next_box(content: Content, place: int) -> int | None:
    """Return where a box begins, at a place or behind zeros there; None: nowhere."""
    after = content.after_run(place, b"\0")  # of which the last ones may begin its size
    places: list[int] = [place, *range(max(place, after - 3), after + 1)]
    for start in places:
        if content.at(start + _BOX_NAME, 4) in _BOXES:
            return start
    name = content.at(place + _BOX_NAME, 4)
    return place if len(name) == len(_FIRST_BOX) and name.isascii() and name.isalnum() else None


def _box_size(content: Content, place: int) -> int:
    """Return the bytes of the box at a place, its header included; 0: it has no end of its own."""
    header = content.at(place, _LARGE_BOX)
    size = int.from_bytes(header[:4])
    if size == 1:
        size = int.from_bytes(header[_BOX:])
    return size if size >= _BOX else 0


def _resized(content: Content, place: int, size: int) -> Edit:
    if content.at(place, 4) == b"\0\0\0\1":
        return Edit(place + _BOX, place + _LARGE_BOX, size.to_bytes(8))
    return Edit(place, place + 4, size.to_bytes(4))


def _unfinished_aiff(content: Content, start: int) -> Iterator[Edit]:
    place = start + _AIFF_START
    if not any(content.at(start + 4, 4)):
        yield Edit(start + 4, start + 8, _aiff_size(content, start + _AIFF_CHUNK))
    while len(header := content.at(place, _AIFF_CHUNK)) == _AIFF_CHUNK:
        size = int.from_bytes(header[4:])
        if header.startswith(b"SSND"):
            sound = place + _AIFF_CHUNK
            if size <= _AIFF_CHUNK < content.size - sound:
                yield Edit(place + 4, sound, _aiff_size(content, sound))
            return
        place += _AIFF_CHUNK + size + size % 2


def _aiff_size(content: Content, place: int) -> bytes:
    return min(content.size - place, 0x7FFFFFFF).to_bytes(4)


def _unfinished_wave64(content: Content, start: int) -> Iterator[Edit]:
    place = start + _W64_START
    while len(header := content.at(place, _W64_CHUNK)) == _W64_CHUNK:
        size = int.from_bytes(header[16:], "little")
        if header.startswith(_W64_SOUND):
            there = content.size - place
            if not _W64_CHUNK < size <= there:
                yield Edit(place + 16, place + _W64_CHUNK, there.to_bytes(8, "little"))
            return
        if size < _W64_CHUNK:
            return
        place += size + -size % 8
