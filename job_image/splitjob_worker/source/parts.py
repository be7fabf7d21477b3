"""Which bytes of a file are sound, where FFmpeg by itself would take too few or too many of them.

A file is read as one or more parts, each as if it were a file of its own:

- Tags as large as a picture (ID3v2) and blanks in front of the sound hide its format from FFmpeg.
- A recording of a radio stream is often several Ogg streams, one after the other (RFC 3533, section
  4, "chaining"); FFmpeg stops where the next one has another rate or number of channels.
- The `data` chunk of a WAV file may be empty, or have no size that is true; FFmpeg then takes the
  chunks behind it for sound.

What is found here only says where to look: FFmpeg reads each part as strictly as a whole file.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from splitjob.errors import ErrorCode, Failure
from splitjob_worker.source.content import Content, Edit
from splitjob_worker.source.edits import ID3_HEADER, edits_of, id3_size

__all__ = ["Part", "is_made_up", "parts_of"]

BLANKS = b" \t\r\n"  # but none that sound begins with: \v is the first byte of ac3
# A file may rightly begin with a few: ISO base media with the size of its first box.
FEWEST_ZEROS = 16

_PAGE = b"OggS\0"  # and the version of its format

_OGG_HEADER = 27  # bytes of a page before its table of segments (RFC 3533, section 6)
_OGG_BEGINS = 0x02  # flag of the first page of a stream
_BOX_SIZE = 4  # bytes before the name of the first box (ISO/IEC 14496-12, 4.2)
_BOX_NAME = b"ftyp"
_MPEG_STARTS = (b"\x01\xba", b"\x01\xb3")  # behind two zeros (ISO/IEC 13818-1, 2.5.3.3)
_RIFF_HEADER = 12
_CHUNK_HEADER = 8
_WAVS = (b"RIFF", b"RF64", b"BW64")  # the last two say sizes in a chunk of their own (EBU 3306)
# What programs write as the size of sound that they do not know the end of: the largest there is,
# with or without a sign, less what the headers take.
_MADE_UP_SIZES = (0, 0x7F000000, 0x7FFF0000, 0xFFFF0000, 0x7FFFFFFFFFFF0000, 0xFFFFFFFFFFFF0000)
_NEAR = 0x10001
# Chunks that are found behind the sound. Their chain must fill the file to its very end.
_CHUNKS_BEHIND = (
    b"LIST", b"id3 ", b"ID3 ", b"bext", b"iXML", b"axml", b"chna", b"cue ", b"smpl", b"inst",
    b"plst", b"labl", b"note", b"ltxt", b"JUNK", b"junk", b"PAD ", b"FLLR", b"fact", b"PEAK",
    b"acid", b"afsp", b"cart", b"DISP", b"umid", b"ubxt", b"levl", b"_PMX", b"minf", b"elm1",
    b"regn", b"strc", b"link", b"qlty", b"mext", b"aXML", b"SAUR", b"SNDM",
)  # fmt: skip
_SEARCHED = 64 << 20  # bytes at a file's end in which they are looked for


class Part(NamedTuple):
    """A run of bytes that is read as a file of its own.

    Attributes:
        start: its first byte.
        end: the byte behind it.
        tag: bytes in front of it that are an ID3v2 tag.
        lacking: how much more sound its header says there is, as a share of what there is.
        edits: what of it is to be read as something else, or not at all.
        granules: of Ogg, where on its clock the first and the last page with sound end.
    """

    start: int
    end: int
    tag: int = 0
    lacking: float = 0.0
    granules: tuple[int, int] | None = None
    edits: tuple[Edit, ...] = ()


def parts_of(source: Path) -> list[Part]:
    """Return the parts of a file that hold its sound, in order; none: it holds only blanks.

    Raises:
        Failure: `audio_unreadable`, of a WAV file with no sound in it.
    """
    with source.open("rb") as file:
        content = Content(file, source.stat().st_size)
        tag, sound = _start(content)
        kind = content.at(sound, _RIFF_HEADER)
        if kind.startswith(_PAGE):
            return _links(content, sound)
        if sound == content.size:
            return []
        end, lacking = content.size, 0.0
        if kind[:4] in _WAVS and kind[8:] == b"WAVE":
            end, lacking = _wav(content, sound)
        return [Part(sound, end, sound - tag, lacking, edits=edits_of(content, sound))]


def _start(content: Content) -> tuple[int, int]:
    """Return where the sound begins, and before it where the tag in front of it does."""
    tag = sound = _after_blanks(content, 0)
    while (after := _after_tag(content, sound)) != sound:
        tag, sound = sound, _after_blanks(content, after)
    return tag, sound


def _after_blanks(content: Content, start: int) -> int:
    place = start
    while True:
        after = content.after_run(place, BLANKS)
        zeros = content.after_run(after, b"\0") - after
        own = _zeros_of_its_own(content, after + zeros) if zeros else 0
        if own < zeros and (own or zeros >= FEWEST_ZEROS):
            after += zeros - own
        if after == place:
            return place
        place = after


def _zeros_of_its_own(content: Content, place: int) -> int:
    """Return with how many zeros a format begins whose first other byte is at a place."""
    if content.at(place, 2) in _MPEG_STARTS:
        return 2
    for zeros in range(_BOX_SIZE):
        if content.at(place - zeros + _BOX_SIZE, len(_BOX_NAME)) == _BOX_NAME:
            return zeros
    return 0


def _after_tag(content: Content, start: int) -> int:
    """Return the place behind an ID3v2 tag, or the place itself where there is none."""
    after = start + id3_size(content.at(start, ID3_HEADER))
    return after if after < content.size else start


class _Page(NamedTuple):
    """A page of an Ogg stream.

    Attributes:
        place: where it begins.
        begins: whether it is the first page of a stream.
        granule: where on the stream's clock it ends; none or less: no sound does, as on headers.
        found_again: whether damage was passed over to find it.
    """

    place: int
    begins: bool
    granule: int
    found_again: bool


def _links(content: Content, start: int) -> list[Part]:
    """Return the links of a chained Ogg file, but for those that end before their sound begins."""
    starts = [start]
    granules: dict[int, tuple[int, int]] = {}
    in_headers = False
    for page in _pages(content, start):
        if page.place > start and page.begins and (page.found_again or not in_headers):
            starts.append(page.place)
        if page.granule > 0:
            first, _ = granules.get(starts[-1], (page.granule, 0))
            granules[starts[-1]] = first, page.granule
        in_headers = page.begins
    ends = [*starts[1:], content.size]
    links = zip(starts, ends, strict=True)
    with_sound = [
        Part(begin, end, granules=granules[begin]) for begin, end in links if begin in granules
    ]
    return with_sound or [Part(start, content.size)]


def _pages(content: Content, start: int) -> Iterator[_Page]:
    place, found_again = start, False
    while len(header := content.at(place, _OGG_HEADER + 255)) >= _OGG_HEADER:
        granule = int.from_bytes(header[6:14], "little", signed=True)
        yield _Page(place, bool(header[5] & _OGG_BEGINS), granule, found_again)
        segments = header[_OGG_HEADER - 1]
        after = place + _OGG_HEADER + segments + sum(header[_OGG_HEADER:][:segments])
        found_again = content.at(after, len(_PAGE)) != _PAGE
        if found_again:  # a page that is cut off says more than there is of it
            found = content.find(_PAGE, place + _OGG_HEADER)
            if found is None:
                return
            after = found
        place = after


def _wav(content: Content, start: int) -> tuple[int, float]:
    """Return where the sound of a WAV file ends, or the file where FFmpeg finds that; `lacking`.

    Raises:
        Failure: there is no sound in it.
    """
    begin, size = _data_chunk(content, start)
    if size > 0 and begin + size <= content.size:
        return content.size, 0.0  # the size is true, and FFmpeg keeps to it
    end = _chunks_behind(content, begin)
    if end <= begin:
        raise Failure(
            ErrorCode.AUDIO_UNREADABLE, "the file holds no audio: its chunk of sound is empty"
        )
    return end, 0.0 if is_made_up(size) else max(size / (end - begin) - 1, 0.0)


def is_made_up(size: int) -> bool:
    """Return whether a program wrote a size of sound without knowing the end."""
    return any(one <= size < one + _NEAR for one in _MADE_UP_SIZES)


def _data_chunk(content: Content, start: int) -> tuple[int, int]:
    """Return where the chunk of sound begins, behind its header, and its size as stated."""
    place = start + _RIFF_HEADER
    long_size = None
    while len(header := content.at(place, _CHUNK_HEADER)) == _CHUNK_HEADER:
        size = _size(header)
        if header.startswith(b"data"):
            return place + _CHUNK_HEADER, size if long_size is None else long_size
        if header.startswith(b"ds64"):
            long_size = int.from_bytes(content.at(place + _CHUNK_HEADER, 16)[8:], "little")
        place += _CHUNK_HEADER + size + size % 2
    return content.size, 0


def _chunks_behind(content: Content, begin: int) -> int:
    """Return where chunks begin that fill a file to its end, or the end where there are none."""
    searched = max(begin, content.size - _SEARCHED)
    end_of_file = content.at(searched, _SEARCHED)
    places = (place for name in _CHUNKS_BEHIND for place in _all_places(end_of_file, name))
    filling = (place for place in places if _fills(end_of_file, place))
    return searched + min(filling, default=len(end_of_file))


def _all_places(content: bytes, name: bytes) -> Iterator[int]:
    place = content.find(name)
    while place >= 0:
        yield place
        place = content.find(name, place + 1)


def _fills(content: bytes, place: int) -> bool:
    """Whether a chain of known chunks goes from a place to the end."""
    while content[place : place + 4] in _CHUNKS_BEHIND and place + _CHUNK_HEADER <= len(content):
        size = _size(content[place : place + _CHUNK_HEADER])
        place += _CHUNK_HEADER + size
        if place == len(content):
            return True
        place += size % 2
    return place == len(content)


def _size(header: bytes) -> int:
    return int.from_bytes(header[4:8], "little")
