"""Which of a file's tracks is the song, and where it ends."""

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
from av.stream import Disposition

ISO_MEDIA = "mov"  # FFmpeg's name for m4a, mp4, mov and 3gp begins with it


def song_of(container: Any) -> Any:  # noqa: ANN401 - av has no types here
    """Return the audio track to read: the one that the file marks as its default, else the first.

    Tracks in a codec that FFmpeg does not know count only where there is no other. None where
    there is no audio.
    """
    audio = container.streams.audio
    known = [track for track in audio if track.codec_context is not None] or list(audio)
    marked = [track for track in known if track.disposition & Disposition.default]
    return next(iter([*marked, *known]), None)


def without_padding(frames: Iterator[Any], track: Any) -> Iterator[Any]:  # noqa: ANN401
    """Cut what an encoder added to fill up its last frame, where the file says how much that is.

    FFmpeg itself does so for mp3, opus and vorbis, but not in the ISO base media format, whose
    sample table (or edit list) tells the length.

    Args:
        frames: of the track, in order; None for one that is damaged.
        track: they come from.
    """
    if not track.container.format.name.startswith(ISO_MEDIA):
        yield from frames
        return
    last = None
    for frame in frames:
        if last is not None:
            yield last
        last = frame
        if frame is None:
            yield None
    if last is not None:
        yield _cut(last, _length(last, track))


def _length(frame: Any, track: Any) -> int:  # noqa: ANN401
    """Return how many samples of the last frame belong to the song; all, unless said otherwise."""
    samples: int = frame.samples
    second = Fraction(frame.sample_rate) * (track.time_base or 0)
    said = [round(second * (frame.duration or 0))]
    if frame.pts is not None and track.duration:
        said.append(round(second * ((track.start_time or 0) + track.duration - frame.pts)))
    return next((length for length in said if 0 < length < samples), samples)


def _cut(frame: Any, samples: int) -> Any:  # noqa: ANN401
    if samples == frame.samples:
        return frame
    array = frame.to_ndarray()
    kept = samples if frame.format.is_planar else samples * len(frame.layout.channels)
    short = av.AudioFrame.from_ndarray(
        array[:, :kept].copy(), format=frame.format.name, layout=frame.layout
    )
    short.sample_rate = frame.sample_rate
    return short
