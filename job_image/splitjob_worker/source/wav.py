"""The chunks of a WAV file, RF64 and BW64 among them: where its sound is, whatever its sizes say.

FFmpeg believes the sizes of chunks, and reads no file whose chunks do not follow one another as
they say. So it takes the chunks behind the sound for sound, where the sound has no size that is
true, and finds no sound behind a chunk that is said to be longer or shorter than it is.

Sources: Multimedia Programming Interface and Data Specifications 1.0 (RIFF); EBU Tech 3306 (RF64).
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from splitjob.errors import ErrorCode, Failure
from splitjob_worker.source.content import Content, Edit
from splitjob_worker.source.tag_sizes import APE, APE_HEADER, ID3, tag_size

__all__ = ["WAVS", "WavSound", "begins", "is_made_up", "sound_of"]

_RIFF_HEADER = 12
_CHUNK_HEADER = 8
WAVS = (b"RIFF", b"RF64", b"BW64")  # the last two say sizes in a chunk of their own
_BIG_ENDIAN = b"RIFX"
_FORMAT, _SOUND, _LONG_SIZES = b"fmt ", b"data", b"ds64"
_LONG_SIZE = 8  # where the size of the sound is in `ds64`
_BYTE_RATE = 8  # where it is in `fmt `
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
_KNOWN = {*_CHUNKS_BEHIND, _FORMAT, _SOUND, _LONG_SIZES}
_TAG, _TAG_SIZE = b"TAG", 128  # ID3v1
_SEARCHED = 64 << 20  # bytes at a file's end in which chunks behind the sound are looked for
_NAME = 4
_LEAST_SIZES = {b"LIST": 4, b"bext": 602}  # bytes; FFmpeg reads no file in which they are less
_UNREAD = b"JUNK"


class WavSound(NamedTuple):
    """What FFmpeg is to read of a file.

    Attributes:
        end: the byte behind it.
        lacking: how much more sound its header says there is, as a share of what there is.
        edits: what of it is to be read as something else.
    """

    end: int
    lacking: float = 0.0
    edits: tuple[Edit, ...] = ()


class _Chunk(NamedTuple):
    """A chunk by its header.

    Attributes:
        name: four letters.
        place: of the header.
        size: bytes behind it.
    """

    name: bytes
    place: int
    size: int

    @property
    def begin(self) -> int:
        return self.place + _CHUNK_HEADER

    @property
    def end(self) -> int:
        return self.begin + self.size


def begins(content: Content, start: int) -> bool:
    """Return whether a WAV file begins at a place."""
    header = content.at(start, _RIFF_HEADER)
    return header[:_NAME] in (*WAVS, _BIG_ENDIAN) and header[8:] == b"WAVE"


def is_made_up(size: int) -> bool:
    """Return whether a program wrote a size of sound without knowing the end."""
    return any(one <= size < one + _NEAR for one in _MADE_UP_SIZES)


def sound_of(content: Content, start: int) -> WavSound:
    """Return what is to be read of a WAV file.

    Args:
        content: of the file.
        start: of it.

    Raises:
        Failure: `audio_unreadable`: there is no sound in it; `audio_unsupported`.
    """
    if content.at(start, _NAME) == _BIG_ENDIAN:
        raise Failure(
            ErrorCode.AUDIO_UNSUPPORTED,
            "a WAV file whose numbers begin with their highest byte (RIFX) is not supported",
        )
    chunks, edits = _to_sound(content, start + _RIFF_HEADER)
    if not chunks or chunks[-1].name != _SOUND:
        raise Failure(
            ErrorCode.AUDIO_UNREADABLE, "the file holds no audio: no chunk of it is sound"
        )
    stated, place = _stated_size(content, chunks)
    sound = chunks[-1]._replace(size=stated)
    if 0 < stated <= content.size - sound.begin:
        rest, more = _behind(content, sound)
        if rest or not _is_sound(content, sound.end, _byte_rate(content, chunks)):
            return _joined(content, sound, place, rest, [*edits, *more])
    end = _chunks_behind(content, sound.begin)
    if end <= sound.begin:
        raise Failure(
            ErrorCode.AUDIO_UNREADABLE, "the file holds no audio: its chunk of sound is empty"
        )
    there = end - sound.begin
    if place.name == _LONG_SIZES or 0 < stated < there:
        edits.append(_with_size(place, there))
    lacking = 0.0 if is_made_up(stated) else max(stated / there - 1, 0.0)
    return WavSound(end, lacking, tuple(edits))


def _to_sound(content: Content, place: int) -> tuple[list[_Chunk], list[Edit]]:
    """Return the chunks up to that of the sound, and what in front of it FFmpeg would not read."""
    chunks: list[_Chunk] = []
    edits: list[Edit] = []
    while chunk := _chunk_at(content, place):
        chunks.append(chunk)
        if chunk.name == _SOUND:
            break
        following = _next_chunk(content, chunk)
        place = _search(content, chunk.begin) if following is None else following
        edits += [*_renamed(chunk), *_resized(chunk, place)]
    return chunks, edits


def _behind(content: Content, sound: _Chunk) -> tuple[list[_Chunk], list[Edit]]:
    """Return the chunks behind that of the sound, and what of them FFmpeg would not read."""
    chunks: list[_Chunk] = []
    edits: list[Edit] = []
    last = sound
    while (place := _next_chunk(content, last)) and (chunk := _chunk_at(content, place)):
        edits += [*_resized(last, place), *_renamed(chunk)]
        chunks.append(chunk)
        last = chunk
    return chunks, edits


def _chunk_at(content: Content, place: int) -> _Chunk | None:
    header = content.at(place, _CHUNK_HEADER)
    if len(header) < _CHUNK_HEADER:
        return None
    return _Chunk(header[:_NAME], place, int.from_bytes(header[_NAME:], "little"))


def _next_chunk(content: Content, chunk: _Chunk) -> int | None:
    """Return where the chunk behind one begins, by its size; None: none begins there.

    A chunk of an odd size should be followed by a byte that fills it up, and is not always.
    """
    padded = chunk.end + chunk.size % 2
    if content.at(padded, _NAME) not in _KNOWN and content.at(chunk.end, _NAME) in _KNOWN:
        return chunk.end
    following = _chunk_at(content, padded)
    if following is None:
        return None
    has_name = all(0x20 <= letter < 0x7F for letter in following.name)
    fits = following.end <= content.size
    return padded if following.name in _KNOWN or (has_name and fits) else None


def _search(content: Content, place: int) -> int:
    """Return where a chunk begins without which there is no sound; the end: nowhere."""
    found = [content.find(name, place) for name in (_FORMAT, _SOUND)]
    return min((one for one in found if one is not None), default=content.size)


def _renamed(chunk: _Chunk) -> Iterator[Edit]:
    """Yield another name for a chunk because of which FFmpeg would not read the file."""
    if chunk.size < _LEAST_SIZES.get(chunk.name, 0):
        yield Edit(chunk.place, chunk.place + _NAME, _UNREAD)


def _resized(chunk: _Chunk, following: int) -> Iterator[Edit]:
    """Yield the size with which a chunk ends where the next one begins, and what fills it up."""
    size = following - chunk.begin
    if size not in (chunk.size, chunk.size + chunk.size % 2):
        yield Edit(chunk.place + _NAME, chunk.begin, size.to_bytes(4, "little"))
    if size % 2:
        yield Edit(following, following, b"\0")


def _stated_size(content: Content, chunks: list[_Chunk]) -> tuple[int, _Chunk]:
    """Return the size of the sound, and the chunk that states it."""
    for chunk in chunks:
        if chunk.name == _LONG_SIZES:
            place = chunk.begin + _LONG_SIZE
            return int.from_bytes(content.at(place, 8), "little"), chunk
    return chunks[-1].size, chunks[-1]


def _with_size(place: _Chunk, size: int) -> Edit:
    """Return the edit by which a chunk states another size of the sound."""
    if place.name == _LONG_SIZES:
        begin = place.begin + _LONG_SIZE
        return Edit(begin, begin + 8, size.to_bytes(8, "little"))
    return Edit(place.place + _NAME, place.begin, min(size, 0xFFFFFFFF).to_bytes(4, "little"))


def _joined(
    content: Content, sound: _Chunk, place: _Chunk, rest: list[_Chunk], edits: list[Edit]
) -> WavSound:
    """Return what is to be read where the size of the sound is true: all chunks of it as one."""
    sounds = [sound, *(chunk for chunk in rest if chunk.name == _SOUND and chunk.size)]
    if len(sounds) == 1:
        return WavSound(content.size, 0.0, tuple(edits))
    end = min(sounds[-1].end, content.size)
    between = [Edit(one.end, other.begin) for one, other in pairwise(sounds)]
    stated = sum(one.size for one in sounds)
    there = stated - (sounds[-1].end - end)
    lacking = 0.0 if is_made_up(sounds[-1].size) else stated / there - 1
    front = [edit for edit in edits if edit.end <= sound.place]
    return WavSound(end, lacking, (*front, _with_size(place, there), *between))


def _byte_rate(content: Content, chunks: list[_Chunk]) -> int:
    """Return how many bytes of sound a second takes; 0: that is not said."""
    for chunk in chunks:
        if chunk.name == _FORMAT:
            return int.from_bytes(content.at(chunk.begin + _BYTE_RATE, 4), "little")
    return 0


def _is_sound(content: Content, place: int, byte_rate: int) -> bool:
    """Whether what follows the sound, and is no chunk, is more of it.

    So it is where a recorder that was switched off had last stated the size some time before.
    """
    header, footer = content.at(place, APE_HEADER), content.at(content.size - APE_HEADER, len(APE))
    if tag_size(header) or footer == APE or begins(content, place):
        return False
    long_enough = content.size - place > max(byte_rate, 1000) / 10
    return long_enough and content.after_run(place, b"\0") < content.size


def _chunks_behind(content: Content, begin: int) -> int:
    """Return where chunks or tags begin that fill a file to its end, or the end."""
    searched = max(begin, content.size - _SEARCHED)
    end_of_file = content.at(searched, _SEARCHED)
    names = (*_CHUNKS_BEHIND, ID3, APE, _TAG)
    places = (place for name in names for place in _all_places(end_of_file, name))
    filling = (place for place in places if _fills(end_of_file, place))
    return searched + min(filling, default=len(end_of_file))


def _all_places(content: bytes, name: bytes) -> Iterator[int]:
    place = content.find(name)
    while place >= 0:
        yield place
        place = content.find(name, place + 1)


def _fills(content: bytes, place: int) -> bool:
    """Whether a chain of known chunks and tags goes from a place to the end."""
    while place < len(content):
        following = _behind_link(content, place)
        if following == place:
            return False
        place = following
    return place == len(content)


def _behind_link(content: bytes, place: int) -> int:
    """Return the place behind the chunk or tag at one, or that place itself: there is none."""
    header = content[place : place + APE_HEADER]
    if header[:_NAME] in _CHUNKS_BEHIND and len(header) >= _CHUNK_HEADER:
        size = int.from_bytes(header[_NAME:_CHUNK_HEADER], "little")
        end = place + _CHUNK_HEADER + size
        return end if end == len(content) else end + size % 2
    if header.startswith(_TAG) and len(content) - place == _TAG_SIZE:
        return len(content)
    return place + tag_size(header)
