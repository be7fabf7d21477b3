"""Which bytes of a file are sound, where FFmpeg by itself would take too few or too many of them.

A file is read as one or more parts, each as if it were a file of its own:

- Tags as large as a picture (ID3v2, APEv2) and blanks in front of the sound hide its format from
  FFmpeg.
- A recording of a radio stream is often several Ogg streams, one after the other (RFC 3533, section
  4, "chaining"); FFmpeg stops where the next one has another rate or number of channels.
- So it does where whole files were joined (`chained`).
- The chunks of a WAV file may be said to end where they do not (`wav`).
- The silence of a voc file has no samples (`voc`).

What is found here only says where to look: FFmpeg reads each part as strictly as a whole file.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from splitjob_worker.source import voc, wav, wave64
from splitjob_worker.source.chained import files_of
from splitjob_worker.source.content import Content, Edit
from splitjob_worker.source.edits import edits_of
from splitjob_worker.source.tag_sizes import APE_HEADER, tag_size

__all__ = ["Part", "parts_of"]

BLANKS = b" \t\r\n"  # but none that sound begins with: \v is the first byte of ac3
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"  # of a text in UTF-8, which a program took the file for
# A file may rightly begin with a few: ISO base media with the size of its first box.
FEWEST_ZEROS = 16

_PAGE = b"OggS\0"  # and the version of its format

_OGG_HEADER = 27  # bytes of a page before its table of segments (RFC 3533, section 6)
_OGG_BEGINS = 0x02  # flag of the first page of a stream
_BOX_SIZE = 4  # bytes before the name of the first box (ISO/IEC 14496-12, 4.2)
_BOX_NAME = b"ftyp"
_MPEG_STARTS = (b"\x01\xba", b"\x01\xb3")  # behind two zeros (ISO/IEC 13818-1, 2.5.3.3)


class Part(NamedTuple):
    """A run of bytes that is read as a file of its own.

    Attributes:
        start: its first byte.
        end: the byte behind it.
        tag: bytes in front of it that are a tag.
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
        Failure: `audio_unreadable`, `audio_unsupported`, of a WAV or voc file.
    """
    with source.open("rb") as file:
        content = Content(file, source.stat().st_size)
        tag, sound = _start(content)
        if content.at(sound, len(_PAGE)) == _PAGE:
            return _links(content, sound)
        if sound == content.size:
            return []
        first, *others = [
            _part(Content(file, end), start) for start, end in files_of(content, sound)
        ]
        return [first._replace(tag=sound - tag), *others]


def _part(content: Content, start: int) -> Part:
    for kind in (wav, wave64):
        if kind.begins(content, start):
            end, lacking, edits = kind.sound_of(content, start)
            return Part(start, end, lacking=lacking, edits=edits)
    edits = voc.silences if voc.begins(content, start) else edits_of
    return Part(start, content.size, edits=edits(content, start))


def _start(content: Content) -> tuple[int, int]:
    """Return where the sound begins, and before it where the tag in front of it does."""
    tag = sound = _after_blanks(content, 0)
    while (after := _after_tag(content, sound)) != sound:
        tag, sound = sound, _after_blanks(content, after)
    return tag, sound


def _after_blanks(content: Content, start: int) -> int:
    place = start
    while True:
        if content.at(place, len(_BYTE_ORDER_MARK)) == _BYTE_ORDER_MARK:
            place += len(_BYTE_ORDER_MARK)
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
    """Return the place behind a tag, or the place itself where there is none."""
    after = start + tag_size(content.at(start, APE_HEADER))
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
