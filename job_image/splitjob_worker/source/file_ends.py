"""Where a file ends, by what it says of itself.

What is found is where another file may begin, not that one does: `chained` looks. A format whose
frames stand by themselves (mp3, aac, ac3, mpeg) needs no such place: FFmpeg reads on.

Sources: as in `wav` and `wave64`; Audio Interchange File Format 1.3; ISO/IEC 14496-12 (m4a, mp4,
mov); Adobe Flash Video 10.1; Apple Core Audio Format 1.0; RealMedia 1; WavPack 4 and 5; TTA1;
Advanced Systems Format 01.20.06; RFC 8794 and 9559 (Matroska); RFC 9639 (FLAC); RFC 4867, section 5
(AMR); DSF 1.01; Creative Voice File.
"""

from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

from splitjob_worker.source import voc, wave64
from splitjob_worker.source.content import Content
from splitjob_worker.source.edits import AU_START, BOX_NAME, FIRST_BOX, box_size
from splitjob_worker.source.wav import WAVS

__all__ = ["begins", "ends_of"]

_HEADER = 32  # bytes, of which all formats can be told
_ORDERS: dict[bytes, Literal["little", "big"]] = {b"FORM": "big"}
_LONG_SIZE = slice(20, 28)  # of RF64 and BW64: in their first chunk

_FLV_HEADER, _FLV_TAG, _FLV_TAG_SIZE = 13, 11, slice(1, 4)
_FLV_TAGS = (8, 9, 18)

_CAF = b"caff\0\1"
_CAF_HEADER, _CAF_CHUNK = 8, 12

_REAL, _REAL_CHUNK = b".RMF", 8

_WAVPACK, _WAVPACK_HEADER = b"wvpk", 32
_WAVPACK_FIRST = 0x800  # flag of the first block of several with the same samples

_TTA_HEADER, _TTA_FRAME = 22, (256, 245)  # seconds of a frame, as a fraction
_TTA_LARGEST_TABLE = 4 << 20  # bytes, for the sizes of its frames: those of twelve days

_ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_OBJECT = 24

_EBML, _DOCUMENT_TYPE = b"\x1a\x45\xdf\xa3", b"\x42\x82"
_SEARCHED = 64  # bytes behind EBML's header in which it says what document follows

_FLAC = b"fLaC"
_FLAC_FIRST_BLOCKS = (b"\0\0\0\x22", b"\x80\0\0\x22")  # the last byte is its size

_AMR, _AMR_WIDE = b"#!AMR\n", b"#!AMR-WB\n"
_AMR_SIZES = (13, 14, 16, 18, 20, 21, 27, 32, 6, 0, 0, 0, 0, 0, 0, 1)  # bytes of a frame, by kind
_AMR_WIDE_SIZES = (18, 24, 33, 37, 41, 47, 51, 59, 61, 6, 0, 0, 0, 0, 1, 1)


def begins(content: Content, place: int) -> bool:
    """Return whether a file of a format that is known here begins at a place."""
    return _format_at(content, place) is not None


def ends_of(content: Content, start: int) -> Iterator[int]:
    """Yield the places at which a file may end: mostly one, none where it does not say.

    Args:
        content: of the file, and what follows it.
        start: of the file.
    """
    found = _format_at(content, start)
    return found.ends(content, start) if found else iter(())


class _Format(NamedTuple):
    """A format of files.

    Attributes:
        begins: whether the first bytes are those of such a file.
        ends: yields where it may end.
    """

    begins: Callable[[bytes], bool]
    ends: Callable[[Content, int], Iterator[int]]


def _format_at(content: Content, place: int) -> _Format | None:
    header = content.at(place, _HEADER)
    return next((one for one in _FORMATS if one.begins(header)), None)


def _of_chunks(content: Content, start: int) -> Iterator[int]:
    """WAV and AIFF, whose size counts from behind it; a byte may fill up an odd one."""
    header = content.at(start, _HEADER)
    long = header[:4] in (b"RF64", b"BW64")
    size = header[_LONG_SIZE] if long else header[4:8]
    end = start + 8 + int.from_bytes(size, _ORDERS.get(header[:4], "little"))
    yield end + (end - start) % 2
    yield end


def _of_boxes(content: Content, start: int) -> Iterator[int]:
    """ISO media. Fragments may rightly be preceded by the first boxes of their stream again."""
    seen: set[bytes] = set()
    place = start
    while size := box_size(content, place):
        place += size
        name = content.at(place + BOX_NAME, len(FIRST_BOX))
        if name == FIRST_BOX and {b"moov", b"mdat"} <= seen and b"moof" not in seen:
            yield place
        seen.add(name)


def _of_flash_video(content: Content, start: int) -> Iterator[int]:
    place = start + _FLV_HEADER
    while (header := content.at(place, _FLV_TAG)) and header[0] in _FLV_TAGS:
        # The size of the tag before stands behind each tag.
        place += _FLV_TAG + int.from_bytes(header[_FLV_TAG_SIZE]) + 4
    yield place


def _of_wave64(content: Content, start: int) -> Iterator[int]:
    size = _little(content, start + 16, 8)
    yield start + size + -size % 8
    yield start + size


def _of_caf(content: Content, start: int) -> Iterator[int]:
    place = start + _CAF_HEADER
    while len(header := content.at(place, _CAF_CHUNK)) == _CAF_CHUNK:
        size = int.from_bytes(header[4:], signed=True)
        if size < 0:  # the sound goes on to the end
            return
        place += _CAF_CHUNK + size
        yield place


def _of_real_media(content: Content, start: int) -> Iterator[int]:
    place = start
    while len(header := content.at(place, _REAL_CHUNK)) == _REAL_CHUNK:
        size = int.from_bytes(header[4:])
        if size < _REAL_CHUNK:
            return
        place += size
        yield place


def _of_wavpack(content: Content, start: int) -> Iterator[int]:
    place = start
    while (header := content.at(place, _WAVPACK_HEADER)).startswith(_WAVPACK):
        index, samples, flags = (
            int.from_bytes(header[at : at + 4], "little") for at in (16, 20, 24)
        )
        if place > start and not index and samples and flags & _WAVPACK_FIRST:
            break
        place += 8 + int.from_bytes(header[4:8], "little")
    yield place


def _of_tta(content: Content, start: int) -> Iterator[int]:
    rate, samples = _little(content, start + 10, 4), _little(content, start + 14, 4)
    frame = _TTA_FRAME[0] * rate // _TTA_FRAME[1]
    sizes = 4 * -(-samples // frame) if frame else 0
    if 0 < sizes <= _TTA_LARGEST_TABLE:
        table = content.at(start + _TTA_HEADER, sizes)
        sound = sum(int.from_bytes(table[at : at + 4], "little") for at in range(0, sizes, 4))
        yield start + _TTA_HEADER + sizes + 4 + sound


def _of_asf(content: Content, start: int) -> Iterator[int]:
    place = start
    while len(header := content.at(place, _ASF_OBJECT)) == _ASF_OBJECT:
        size = int.from_bytes(header[16:], "little")
        if size < _ASF_OBJECT:
            return
        place += size
        yield place


def _of_matroska(content: Content, start: int) -> Iterator[int]:
    """By the next header where the segment says no size, as one that was written to a pipe."""
    place = _after_element(content, start)
    if place and (end := _after_element(content, place)):
        yield end
        return
    for found in _behind(content, start, _EBML):
        if _DOCUMENT_TYPE in content.at(found, _SEARCHED):
            yield found


def _after_element(content: Content, place: int) -> int | None:
    """Return the place behind an element of EBML whose name has four bytes; None: it says none."""
    header = content.at(place + len(_EBML), 8)
    if not header or not header[0]:
        return None
    length = 9 - header[0].bit_length()  # of the size, by the zeros that it begins with
    size = int.from_bytes(header[:length]) & ~(1 << 7 * length)
    unknown = (1 << 7 * length) - 1
    return None if size == unknown else place + len(_EBML) + length + size


def _of_flac(content: Content, start: int) -> Iterator[int]:
    """By the next header: nothing says how many bytes a stream has."""
    return _behind(content, start, _FLAC)


def _of_au(content: Content, start: int) -> Iterator[int]:
    header = content.at(start, 12)
    yield start + int.from_bytes(header[4:8]) + int.from_bytes(header[8:12])


def _of_amr(content: Content, start: int) -> Iterator[int]:
    wide = content.at(start, len(_AMR_WIDE)) == _AMR_WIDE
    sizes = _AMR_WIDE_SIZES if wide else _AMR_SIZES
    place = start + len(_AMR_WIDE if wide else _AMR)
    while (first := content.at(place, 1)) and first != _AMR[:1]:
        size = sizes[first[0] >> 3 & 0xF]
        if not size:
            return
        place += size
    yield place


def _of_dsf(content: Content, start: int) -> Iterator[int]:
    yield start + _little(content, start + 12, 8)


def _behind(content: Content, start: int, beginning: bytes) -> Iterator[int]:
    """Yield where else behind a place the bytes are found that a file begins with."""
    place = start + len(beginning)
    while (found := content.find(beginning, place)) is not None:
        yield found
        place = found + len(beginning)


def _little(content: Content, place: int, size: int) -> int:
    return int.from_bytes(content.at(place, size), "little")


_FORMATS = (
    _Format(lambda h: h[:4] in WAVS and h[8:12] == b"WAVE", _of_chunks),
    _Format(lambda h: h[:4] == b"FORM" and h[8:12] in (b"AIFF", b"AIFC", b"8SVX"), _of_chunks),
    _Format(lambda h: h[BOX_NAME:8] == FIRST_BOX, _of_boxes),
    _Format(lambda h: h.startswith(b"FLV\1"), _of_flash_video),
    _Format(lambda h: h.startswith(wave64.FILE), _of_wave64),
    _Format(lambda h: h.startswith(_CAF), _of_caf),
    _Format(lambda h: h.startswith(_REAL), _of_real_media),
    _Format(lambda h: h.startswith(_WAVPACK), _of_wavpack),
    _Format(lambda h: h.startswith(b"TTA1"), _of_tta),
    _Format(lambda h: h.startswith(_ASF), _of_asf),
    _Format(lambda h: h.startswith(_EBML), _of_matroska),
    _Format(lambda h: h.startswith(_FLAC) and h[4:8] in _FLAC_FIRST_BLOCKS, _of_flac),
    _Format(lambda h: h.startswith(AU_START), _of_au),
    _Format(lambda h: h.startswith((_AMR, _AMR_WIDE)), _of_amr),
    _Format(lambda h: h.startswith(b"DSD \x1c\0\0\0"), _of_dsf),
    _Format(lambda h: h.startswith(voc.FILE), voc.ends),
)
