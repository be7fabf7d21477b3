"""Which of a file's tracks is the song, and where it ends."""

from collections.abc import Iterator
from fractions import Fraction

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition

from splitjob_worker.source.packets import Lost

ISO_MEDIA = "mov"  # FFmpeg's name for m4a, mp4, mov and 3gp begins with it
# What they call sound behind a key that we do not have, whatever its codec (ISO/IEC 14496-12, 8.12;
# Apple's). To a decoder it is damage, or noise.
_ENCRYPTED = {"enca", "drms"}


def song_of(container: InputContainer) -> AudioStream | None:
    """Return the audio track to read: the one that the file marks as its default, else the first.

    Tracks in a codec that FFmpeg does not know are taken only if there is no other.

    Returns:
        The track; None: there is no audio.
    """
    audio = container.streams.audio
    known = [track for track in audio if track.codec_context is not None] or list(audio)
    marked = [track for track in known if track.disposition & Disposition.default]
    return next(iter([*marked, *known]), None)


def is_encrypted(track: AudioStream) -> bool:
    """Return whether a track is protected against copying."""
    if not track.container.format.name.startswith(ISO_MEDIA):
        return False
    try:
        return track.codec_context.codec_tag in _ENCRYPTED
    except UnicodeDecodeError:  # no four letters
        return False


def without_padding(
    frames: Iterator[av.AudioFrame | Lost], track: AudioStream
) -> Iterator[av.AudioFrame | Lost]:
    """Cut off what an encoder added to fill its last frame, where the file says how much that is.

    FFmpeg itself does so for mp3, opus and vorbis, but not in the ISO base media format (ISO/IEC
    14496-12), whose sample table or edit list holds the length.

    Args:
        frames: of the track, in order, and what is lost between them.
        track: that the frames come from.
    """
    if not track.container.format.name.startswith(ISO_MEDIA):
        yield from frames
        return
    last: av.AudioFrame | None = None
    behind: list[Lost] = []  # the last frame that is whole
    for frame in frames:
        if isinstance(frame, Lost):
            behind.append(frame)
            continue
        if last is not None:
            yield last
        yield from behind
        last, behind = frame, []
    if last is not None:
        yield last if behind else _cut(last, _length(last, track))
    yield from behind


def _length(frame: av.AudioFrame, track: AudioStream) -> int:
    """Return how many samples of the last frame belong to the song; all, if none are padding."""
    samples = frame.samples
    second = Fraction(frame.sample_rate) * (track.time_base or 0)
    lengths = [round(second * (frame.duration or 0))]
    if frame.pts is not None and track.duration:
        lengths.append(round(second * ((track.start_time or 0) + track.duration - frame.pts)))
    return next((length for length in lengths if 0 < length < samples), samples)


def _cut(frame: av.AudioFrame, samples: int) -> av.AudioFrame:
    if samples == frame.samples:
        return frame
    array = frame.to_ndarray()
    kept = samples if frame.format.is_planar else samples * len(frame.layout.channels)
    short = av.AudioFrame.from_ndarray(
        array[:, :kept].copy(), format=frame.format.name, layout=frame.layout
    )
    short.sample_rate = frame.sample_rate
    return short
