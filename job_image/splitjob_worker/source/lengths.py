"""How long the sound of a file is by its own words, where they can be relied upon.

What is not known is not guessed: a length that a stream was given before it ended, or that follows
from bit rate and size, says nothing of what is missing.
"""

from pathlib import Path

import av
from av.audio.stream import AudioStream
from av.container import InputContainer

from splitjob_worker.source import avi
from splitjob_worker.source.parts import Part

# Containers whose header counts the samples, or whose index lists them.
_COUNTED = {"aiff", "au", "ape", "dsf", "flac", "mov", "ogg", "tta", "wv"}
# Containers that say how long picture and sound together are.
_WHOLE = {"matroska", "flv"}
_SEGMENT = b"\x18\x53\x80\x67"
_MP3_HEADER = 4
_SAMPLES = {3: 1152, 2: 576, 0: 576}  # of a frame of MPEG 1, 2, 2.5, layer III
_FIRST_BYTES = 1 << 10
_UNTOLD = 0.1  # seconds; encoders fill up their first and last frames


def missing(
    source: Path, part: Part, container: InputContainer, track: AudioStream, end: float
) -> float:
    """Return how many seconds of a part's sound are not in the file.

    Args:
        source: the file.
        part: of it.
        container: that the part holds.
        track: of the sound.
        end: seconds from its beginning to the end of what was decoded.
    """
    if part.lacking:
        return end * part.lacking
    stated = _stated(source, part, container, track)
    return 0.0 if stated is None or stated - end < _UNTOLD else stated - end


def _stated(
    source: Path, part: Part, container: InputContainer, track: AudioStream
) -> float | None:
    name = container.format.name.partition(",")[0]
    if name in _COUNTED and track.duration and track.time_base:
        return float(track.duration * track.time_base)
    if name == avi.CONTAINER:
        return avi.seconds_if_cut_off(source, part, track.index)
    with source.open("rb") as file:
        file.seek(part.start)
        first = file.read(_FIRST_BYTES)
    if name == "mp3" and track.rate:
        return _counted_by_xing(first, part.end - part.start, track.rate)
    of_sound = not container.streams.video or _is_cut_off(first, part.end - part.start)
    if name in _WHOLE and container.duration and of_sound:
        return container.duration / av.time_base
    return None


def _counted_by_xing(first: bytes, size: int, rate: int) -> float | None:
    """Return the seconds that the tag in the first frame of an mp3 counts (Xing's and LAME's).

    Where the file is as large as the tag says, nothing is missing, whatever else it says.
    """
    version, mono = first[1] >> 3 & 3, first[3] >> 6 == 3
    side = (17 if mono else 32) if version == 3 else (9 if mono else 17)
    tag = first[_MP3_HEADER + side :]
    if tag[:4] not in (b"Xing", b"Info") or version not in _SAMPLES:
        return None
    flags, frames, of_bytes = (int.from_bytes(tag[at : at + 4]) for at in (4, 8, 12))
    if flags & 3 != 3 or size >= of_bytes:
        return None
    return frames * _SAMPLES[version] / rate


def _is_cut_off(first: bytes, size: int) -> bool:
    """Whether Matroska ends before its segment does (RFC 8794; RFC 9559, section 4.5)."""
    place = first.find(_SEGMENT) + len(_SEGMENT)
    if place < len(_SEGMENT) or place >= len(first):
        return False
    width = 9 - first[place].bit_length()
    length = int.from_bytes(first[place : place + width]) & (1 << 7 * width) - 1
    unknown = length == (1 << 7 * width) - 1
    return not unknown and place + width + length > size
