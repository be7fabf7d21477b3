"""Creative Voice Files: their blocks of silence, which say how long it lasts and hold no samples.

FFmpeg passes over them, so that all that follows came too early. Here they become blocks of sound.

Source: Creative Voice File, as in the Sound Blaster Developer Kit.
"""

from collections.abc import Iterator
from typing import NamedTuple

from splitjob.errors import ErrorCode, Failure
from splitjob_worker.source.content import Content, Edit

__all__ = ["FILE", "begins", "ends", "silences"]

FILE = b"Creative Voice File\x1a"
_HEADER_SIZE = 20  # where its size is
_BLOCK = 4  # kind and size
_END, _SOUND, _MORE_SOUND, _SILENCE, _NEW_SOUND = 0, 1, 2, 3, 9
_SOUND_HEADER, _NEW_SOUND_HEADER = 2, 12
# By the number of the encoding, what a sample of silence is: 8 bits, 16 bits, A-law, mu-law.
_SILENT = {0: b"\x80", 4: b"\0\0", 6: b"\xd5", 7: b"\xff"}
_LARGEST_BLOCK = (1 << 24) - 1  # bytes that its size can say
_MOST_BYTES = 64 << 20  # of silence that is held at once, each length of it once


class _Block(NamedTuple):
    """A block of a file.

    Attributes:
        kind: what it holds.
        place: of its first byte.
        size: bytes behind kind and size; 0, of sound: as many as there are.
    """

    kind: int
    place: int
    size: int

    @property
    def begin(self) -> int:
        return self.place + _BLOCK

    @property
    def end(self) -> int:
        return self.begin + self.size


class _Samples(NamedTuple):
    """How sound is written.

    Attributes:
        rate: frames a second.
        silent: a frame of silence.
    """

    rate: float
    silent: bytes


def begins(content: Content, start: int) -> bool:
    """Return whether such a file begins at a place."""
    return content.at(start, len(FILE)) == FILE


def ends(content: Content, start: int) -> Iterator[int]:
    """Yield where a file ends that begins at a place, if it says so."""
    for block in _blocks(content, start):
        if block.kind == _END:
            yield block.place + 1


def silences(content: Content, start: int) -> tuple[Edit, ...]:
    """Return the silence of a file that begins at a place, as sound like that in front of it.

    Raises:
        Failure: `audio_unreadable`: longer silence, or more lengths of it, than recorders make.
    """
    edits: list[Edit] = []
    samples: _Samples | None = None
    made: dict[tuple[bytes, int], bytes] = {}  # by what is silent, and frames
    held = 0  # bytes of these
    for block in _blocks(content, start):
        if block.kind in (_SOUND, _NEW_SOUND):
            samples = _samples_of(content, block)
        elif block.kind == _SILENCE and samples:
            key = samples.silent, round(_seconds_of(content, block) * samples.rate)
            if key not in made:
                size = len(samples.silent) * key[1]
                held += size
                if size > _LARGEST_BLOCK or held > _MOST_BYTES:
                    message = (
                        "the voc file has longer silence, or more lengths, than recorders make"
                    )
                    raise Failure(ErrorCode.AUDIO_UNREADABLE, message)
                made[key] = _more_sound(samples.silent * key[1])
            edits.append(Edit(block.place, block.end, made[key]))
    return tuple(edits)


def _blocks(content: Content, start: int) -> Iterator[_Block]:
    place = start + int.from_bytes(content.at(start + _HEADER_SIZE, 2), "little")
    while header := content.at(place, _BLOCK):
        block = _Block(header[0], place, int.from_bytes(header[1:], "little"))
        yield block
        if block.kind == _END or not block.size:
            return
        place = block.end


def _samples_of(content: Content, block: _Block) -> _Samples | None:
    """Return how a block of sound is written; None: in an encoding whose silence is not known."""
    header = content.at(block.begin, _NEW_SOUND_HEADER)
    if block.kind == _SOUND and len(header) >= _SOUND_HEADER:
        rate, encoding, channels = 1e6 / (256 - header[0]), header[1], 1
    elif len(header) == _NEW_SOUND_HEADER:
        rate, channels = float(int.from_bytes(header[:4], "little")), header[5]
        encoding = int.from_bytes(header[6:8], "little")
    else:
        return None
    silent = _SILENT.get(encoding)
    return _Samples(rate, silent * channels) if silent else None


def _seconds_of(content: Content, block: _Block) -> float:
    """Return how long the silence of a block lasts."""
    header = content.at(block.begin, 3)
    if len(header) < 3:
        return 0.0
    return (int.from_bytes(header[:2], "little") + 1) * (256 - header[2]) / 1e6


def _more_sound(samples: bytes) -> bytes:
    return bytes([_MORE_SOUND]) + len(samples).to_bytes(3, "little") + samples
