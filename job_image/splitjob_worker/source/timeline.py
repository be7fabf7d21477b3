"""Where on a file's clock its sound lies: silence in place of what is damaged, or not there.

What follows a hole stays where it belongs, so that stems line up with their song, and with the
picture of a video. How long a hole is, the clock of the container tells where it has one, and in a
video how late the sound begins; elsewhere it is as long as what could not be decoded. Where there
is no picture, time begins with the first sample.
"""

from collections.abc import Iterator
from typing import NamedTuple

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition

from splitjob_worker.source.packets import Lost

# Containers that count samples, one behind the other, and others whose clock goes on where nothing
# was to be heard.
_COUNT_SAMPLES = {"ogg", "flac", "wv"}
_HAVE_A_CLOCK = {"matroska", "mov", "mpegts", "mpeg", "flv", "asf"}
# Where a broadcast begins anew, or recordings were joined, the clock of these may jump.
_MAY_JUMP = {"mpegts", "mpeg", "flv"}
_LONGEST_HOLE = 10.0  # seconds, where it may
_ROUNDED = 0.015  # seconds; time stamps are, some to milliseconds


class Silence(NamedTuple):
    """A hole before the sound that follows.

    Attributes:
        seconds: how long it is, in whole samples of the sound behind it.
        damaged: seconds of it for which there was sound.
    """

    seconds: float
    damaged: float


class Timeline:
    """Puts the frames of one track in their places.

    Args:
        container: of the track.
        track: that the frames come from.
        longest: seconds; a time stamp that leads further is not believed.
        granules: `Part.granules`.

    Attributes:
        end: seconds from the beginning to the end of the last frame.
        clock: seconds on the file's clock at that end; None: it has none.
        behind: seconds of packets behind that, none of which could be decoded.
    """

    def __init__(
        self,
        container: InputContainer,
        track: AudioStream,
        longest: int,
        granules: tuple[int, int] | None = None,
    ) -> None:
        name = container.format.name.partition(",")[0]
        counts = name in _COUNT_SAMPLES
        self.end = self.behind = 0.0
        self._has_clock = counts or name in _HAVE_A_CLOCK
        self._zero = _picture_begins(container)
        # A caller who says nothing is not always sent by Opus, and ISO media list what there is;
        # but fragments are in no list, and FFmpeg counts no frames of them.
        listed = name == "mov" and track.frames > 0
        authored = self._zero is not None or listed or track.codec_context.name == "opus"
        self._holes_are_damage = counts or not authored
        self._longest = float(longest)
        self._longest_hole = _LONGEST_HOLE if name in _MAY_JUMP else self._longest
        if container.duration and not counts:
            self._longest = min(self._longest, container.duration / av.time_base + 1)
        self.clock: float | None = None
        self._time_base = float(track.time_base or 0)
        self._first_page_ends = granules[0] * self._time_base if granules else None

    def placed(self, frames: Iterator[av.AudioFrame | Lost]) -> Iterator[av.AudioFrame | Silence]:
        """Yield the frames, and before each as much silence as there is a hole."""
        lost = silent = 0.0
        for frame in frames:
            if isinstance(frame, Lost) and frame.silent:
                silent += frame.seconds
                continue
            if isinstance(frame, Lost):
                lost += frame.seconds if frame.counts or self.end else 0
                self.behind += frame.seconds if frame.counts else 0
                continue
            silence = self._hole_before(frame, lost, silent)
            if silence.seconds:
                yield silence
            self.end += silence.seconds + frame.samples / frame.sample_rate
            self.behind = lost = silent = 0.0
            yield frame

    def _hole_before(self, frame: av.AudioFrame, lost: float, silent: float) -> Silence:
        hole = lost + silent
        begins = not self.end and self._zero is not None and not hole
        if frame.pts is not None and (self._has_clock or begins):
            hole = self._by_the_clock(frame, lost)
        whole = round(hole * frame.sample_rate) / frame.sample_rate if hole else 0.0
        damaged = max(whole - silent, 0.0) if self._holes_are_damage else min(lost, whole)
        return Silence(whole, damaged)

    def _by_the_clock(self, frame: av.AudioFrame, lost: float) -> float:
        """Return how long the hole before a frame is, in seconds."""
        time = (frame.pts or 0) * self._time_base
        if not self.end:
            self._zero = time - lost if self._zero is None else min(self._zero, time - lost)
        jump = time - (time if self.clock is None else self.clock)
        self.clock = time + frame.samples / frame.sample_rate
        if jump > _ROUNDED and self._is_end_of_first_page(time):
            self._zero = time - self.end
        late = time - (self._zero or 0) - self.end
        if abs(late) > self._longest_hole or self.end + late > self._longest:
            self._zero = time - self.end - lost
            return lost
        if lost or not self.end or jump > _ROUNDED:
            return late if late > (0 if lost else _ROUNDED) else 0.0
        return 0.0

    def _is_end_of_first_page(self, time: float) -> bool:
        """Whether FFmpeg only now knows the time: of a first page of FLAC it says zero."""
        ends = self._first_page_ends
        return ends is not None and abs(time - ends) <= _ROUNDED


def _picture_begins(container: InputContainer) -> float | None:
    """Return the time of the first picture of a video, None: it has none; a cover is none."""
    times = [
        float(track.start_time * track.time_base)
        for track in container.streams.video
        if not track.disposition & Disposition.attached_pic
        and track.start_time is not None
        and track.time_base
    ]
    return min(times, default=None)
