"""Wave64: where the size of its sound was never filled in, or is more than there is.

FFmpeg reads no file whose sound is said to have no size, and of a larger one only tells that it
ended.

Source: Sony Pictures Digital, Sony Wave64.
"""

from splitjob_worker.source.content import Content, Edit
from splitjob_worker.source.wav import WavSound, is_made_up

__all__ = ["FILE", "begins", "sound_of"]

FILE = b"riff\x2e\x91\xcf\x11"
_SOUND = b"data\xf3\xac\xd3\x11"
_HEADER = 40
_CHUNK_HEADER = 24  # counts as part of the chunk
_SIZE = 16


def begins(content: Content, start: int) -> bool:
    """Return whether a Wave64 file begins at a place."""
    return content.at(start, len(FILE)) == FILE


def sound_of(content: Content, start: int) -> WavSound:
    """Return what is to be read of a file that begins at a place."""
    place = start + _HEADER
    while len(header := content.at(place, _CHUNK_HEADER)) == _CHUNK_HEADER:
        size = int.from_bytes(header[_SIZE:], "little")
        if header.startswith(_SOUND):
            return _of_size(content, place, size)
        if size < _CHUNK_HEADER:
            break
        place += size + -size % 8
    return WavSound(content.size)


def _of_size(content: Content, place: int, size: int) -> WavSound:
    there = content.size - place
    if _CHUNK_HEADER < size <= there:
        return WavSound(content.size)
    edit = Edit(place + _SIZE, place + _CHUNK_HEADER, there.to_bytes(8, "little"))
    sound, stated = there - _CHUNK_HEADER, size - _CHUNK_HEADER
    lacking = 0.0 if is_made_up(size) or sound <= 0 else max(stated / sound - 1, 0.0)
    return WavSound(content.size, lacking, (edit,))
