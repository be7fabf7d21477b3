"""Edits to files that FFmpeg would not read, or would take for damaged, though they are whole.

- Tags between the frames of an mp3, as where several were joined: FFmpeg takes them for sound.
- Zeros between the boxes of ISO base media: FFmpeg takes them for a box that goes on to the end.
- The size of the sound of AIFF and au where it was never filled in, as in a pipe, and chunks of
  AIFF whose odd size nothing fills up.

WAV and Wave64, which say in the same places what is missing, are in `wav` and `wave64`.
"""

from collections.abc import Iterator

from splitjob_worker.source.content import Content, Edit
from splitjob_worker.source.tag_sizes import APE, APE_HEADER, ID3, tag_size

__all__ = ["AU_START", "BOX_NAME", "FIRST_BOX", "box_size", "edits_of"]

_MPEG_HEADER = 4

_BOX, _LARGE_BOX = 8, 16  # bytes of a box's header (ISO/IEC 14496-12, 4.2)
BOX_NAME = 4  # bytes before it
FIRST_BOX = b"ftyp"
_BOXES = {b"moov", b"mdat", b"free", b"skip", b"wide", b"moof", b"sidx", b"meta", b"uuid", b"udta"}

_AIFF_START, _AIFF_CHUNK = 12, 8
_AIFF_CHUNKS = {
    b"COMM", b"SSND", b"FVER", b"MARK", b"INST", b"COMT", b"NAME", b"AUTH", b"(c) ", b"ANNO",
    b"MIDI", b"AESD", b"APPL", b"CHAN", b"ID3 ", b"LIST",
}  # fmt: skip

AU_START, _AU_SIZE = b".snd", 8  # where the size of the sound is
_UNKNOWN = b"\xff" * 4  # in its place, where it is not known


def edits_of(content: Content, start: int) -> tuple[Edit, ...]:
    """Return what is to be read as something else, in order.

    Args:
        content: of the file.
        start: of its sound, behind what stands in front of it.
    """
    first = content.at(start, _AIFF_START)
    if _is_mpeg_frame(first):
        return tuple(sorted(_tags_between_frames(content, start)))
    if first[4:8] == FIRST_BOX:
        return tuple(_around_zeros(content, start))
    if first.startswith(AU_START) and not any(first[_AU_SIZE:]):
        return (Edit(start + _AU_SIZE, start + _AU_SIZE + 4, _UNKNOWN),)
    if first[:4] == b"FORM" and first[8:] in (b"AIFF", b"AIFC"):
        return tuple(_in_aiff(content, start))
    return ()


def _tags_between_frames(content: Content, start: int) -> Iterator[Edit]:
    for name in (ID3, APE):
        place = start
        while (found := content.find(name, place)) is not None:
            size = tag_size(content.at(found, APE_HEADER))
            after = content.after_run(found + size, b"\0") if size else found
            place = max(after, found + len(name))
            if size and _goes_on(content, after):
                yield Edit(found, after)


def _goes_on(content: Content, place: int) -> bool:
    """Whether a frame, another tag or the end of an mp3 is at a place."""
    header = content.at(place, len(APE))
    return not header or header.startswith((ID3, APE, b"TAG")) or _is_mpeg_frame(header)


def _is_mpeg_frame(header: bytes) -> bool:
    """Whether bytes begin a frame of MPEG audio, layer I to III (ISO/IEC 11172-3, 2.4.1.3)."""
    if len(header) < _MPEG_HEADER or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return False
    version, layer = header[1] >> 3 & 3, header[1] >> 1 & 3
    return version != 1 and layer != 0 and header[2] >> 4 != 0xF and header[2] >> 2 & 3 != 3


def _around_zeros(content: Content, start: int) -> Iterator[Edit]:
    """Yield the sizes with which each box reaches to the next one."""
    place = start
    while (size := box_size(content, place)) and place + size < content.size:
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
        if content.at(start + BOX_NAME, 4) in _BOXES:
            return start
    name = content.at(place + BOX_NAME, 4)
    return place if len(name) == len(FIRST_BOX) and name.isascii() and name.isalnum() else None


def box_size(content: Content, place: int) -> int:
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


def _in_aiff(content: Content, start: int) -> Iterator[Edit]:
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
        end = place + _AIFF_CHUNK + size
        place = end + size % 2
        if content.at(place, 4) not in _AIFF_CHUNKS and content.at(end, 4) in _AIFF_CHUNKS:
            yield Edit(end, end, b"\0")  # that should fill up a chunk of an odd size
            place = end


def _aiff_size(content: Content, place: int) -> bytes:
    return min(content.size - place, 0x7FFFFFFF).to_bytes(4)
