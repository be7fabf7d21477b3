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
from splitjob_worker.source.timeline import Timeline
from splitjob_worker.source.wav import is_made_up

# Containers whose header counts the samples, or whose index lists them.
_COUNTED = {"aiff", "au", "ape", "dsf", "flac", "mov", "ogg", "tta", "wv"}
# Containers that say how long picture and sound together are.
_WHOLE = {"matroska", "flv"}
_SEGMENT = b"\x18\x53\x80\x67"
_MP3_HEADER = 4
_VBRI_PLACE = 36  # in a frame of any kind
_SAMPLES = {3: 1152, 2: 576, 0: 576}  # of a frame of MPEG 1, 2, 2.5, layer III
_ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_ASF_SIZE = slice(40, 48)  # of the file, in its properties; 0 in a broadcast
_ASF_TIMES = slice(64, 72), slice(80, 88)  # of the end, and what is to be taken off
_FIRST_BYTES = 1 << 14
_UNTOLD = 0.1  # seconds; encoders fill up their first and last frames
_BEYOND_BELIEF = 24 * 3600.0  # seconds; what was made up for want of the end is longer
_OPUS_PRE_SKIP = slice(10, 12)  # of its header (RFC 7845, 5.1)


def missing(
    source: Path, part: Part, container: InputContainer, track: AudioStream, timeline: Timeline
) -> float:
    """Return how many seconds of a part's sound are not in the file.

    Args:
        source: the file.
        part: of it.
        container: that the part holds.
        track: of the sound.
        timeline: of what was decoded.
    """
    if part.lacking:
        return timeline.end * part.lacking
    if part.granules and len(container.streams) == 1:
        lacking = _behind_the_clock(part.granules[1], track, timeline)
    else:
        lacking = (_stated(source, part, container, track) or 0.0) - timeline.end
    return lacking if _UNTOLD <= lacking < _BEYOND_BELIEF else 0.0


def _behind_the_clock(last_granule: int, track: AudioStream, timeline: Timeline) -> float:
    """Return the seconds from the end of what was decoded to where the last page of Ogg ends.

    Both are on the file's clock, which in a recording of a radio stream does not begin at zero.
    """
    if timeline.clock is None or not track.time_base:
        return 0.0
    codec = track.codec_context
    header = (codec.extradata or b"") if codec.name == "opus" else b""
    skipped = int.from_bytes(header[_OPUS_PRE_SKIP], "little")
    return float((last_granule - skipped) * track.time_base) - timeline.clock


def _stated(
    source: Path, part: Part, container: InputContainer, track: AudioStream
) -> float | None:
    name = container.format.name.partition(",")[0]
    if name == "aiff" and _is_no_count(track):
        return None
    if name == "caf" and track.time_base and track.codec_context.name.startswith("pcm_"):
        return float(track.frames * track.time_base)
    if name in _COUNTED and track.duration and track.time_base:
        return float(track.duration * track.time_base)
    if name == avi.CONTAINER:
        return avi.seconds_if_cut_off(source, part, track.index)
    with source.open("rb") as file:
        file.seek(part.start)
        first = file.read(_FIRST_BYTES)
    if name == "mp3" and track.rate:
        return _counted_by_tag(first, part.end - part.start, track.rate)
    if name == "asf":
        return _of_asf_cut_off(first, part.end - part.start)
    of_sound = not container.streams.video or _is_cut_off(first, part.end - part.start)
    if name in _WHOLE and container.duration and of_sound:
        return container.duration / av.time_base
    return None


def _is_no_count(track: AudioStream) -> bool:
    """Whether an AIFF file says how many packets it has, or was written without an end in sight."""
    codec = track.codec_context
    frame_bytes = codec.format.bytes * codec.channels
    return not codec.name.startswith("pcm_") or is_made_up((track.duration or 0) * frame_bytes)


def _counted_by_tag(first: bytes, size: int, rate: int) -> float | None:
    """Return the seconds that the tag in the first frame of an mp3 counts: Xing's or Fraunhofer's.

    Where the file is as large as the tag says, nothing is missing, whatever else it says.
    """
    version, mono = first[1] >> 3 & 3, first[3] >> 6 == 3
    side = (17 if mono else 32) if version == 3 else (9 if mono else 17)
    tag, vbri = first[_MP3_HEADER + side :], first[_VBRI_PLACE:]
    if tag[:4] in (b"Xing", b"Info"):
        flags, frames, of_bytes = (int.from_bytes(tag[at : at + 4]) for at in (4, 8, 12))
    elif vbri.startswith(b"VBRI"):
        flags, of_bytes, frames = 3, int.from_bytes(vbri[10:14]), int.from_bytes(vbri[14:18])
    else:
        return None
    if version not in _SAMPLES or flags & 3 != 3 or size >= of_bytes:
        return None
    return frames * _SAMPLES[version] / rate


def _of_asf_cut_off(first: bytes, size: int) -> float | None:
    """Return how long ASF was that is shorter than it says; None: it is whole.

    Source: Advanced Systems Format 1.20.05, section 3.2.
    """
    place = first.find(_ASF_PROPERTIES)
    said = [int.from_bytes(first[place:][at], "little") for at in (_ASF_SIZE, *_ASF_TIMES)]
    of_file, of_play, before_it = said
    if place < 0 or size >= of_file:
        return None
    return of_play / 1e7 - before_it / 1e3


def _is_cut_off(first: bytes, size: int) -> bool:
    """Whether Matroska ends before its segment does (RFC 8794; RFC 9559, section 4.5)."""
    place = first.find(_SEGMENT) + len(_SEGMENT)
    if place < len(_SEGMENT) or place >= len(first):
        return False
    width = 9 - first[place].bit_length()
    length = int.from_bytes(first[place : place + width]) & (1 << 7 * width) - 1
    unknown = length == (1 << 7 * width) - 1
    return not unknown and place + width + length > size
