"""From any decoded frames to stereo float32 at the model's rate.

Mono is copied to both sides. More than two channels are mixed with the coefficients of ITU-R
BS.775 (centre and surrounds at -3 dB, no low-frequency channel), so that the voice in the centre
is kept; the front pair keeps its level, so the sum may exceed full scale. Samples that are not
finite become silence.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction

import av
import numpy as np

from splitjob.errors import ErrorCode, Failure
from splitjob_worker.normalisation import Statistics
from splitjob_worker.resampling import Resampler
from splitjob_worker.source.audio import (
    MAX_CHANNELS,
    MAX_MAGNITUDE,
    MAX_RATE,
    MIN_RATE,
    MIN_SECONDS,
    AudioLimits,
    Decoded,
)
from splitjob_worker.spool import Blocks, Samples, SpoolWriter

_3DB = 0.5**0.5
_SILENT_FRAMES = 1 << 16  # at once
# Share of each channel in the left and the right side, by FFmpeg's channel names.
COEFFICIENTS: dict[str, tuple[float, float]] = {
    "FL": (1.0, 0.0), "FR": (0.0, 1.0), "FC": (_3DB, _3DB), "LFE": (0.0, 0.0), "LFE2": (0.0, 0.0),
    "BL": (_3DB, 0.0), "BR": (0.0, _3DB), "SL": (_3DB, 0.0), "SR": (0.0, _3DB), "BC": (0.5, 0.5),
    "FLC": (_3DB, 0.5), "FRC": (0.5, _3DB), "WL": (_3DB, 0.0), "WR": (0.0, _3DB),
    "SDL": (_3DB, 0.0), "SDR": (0.0, _3DB), "DL": (1.0, 0.0), "DR": (0.0, 1.0),
    "TFL": (_3DB, 0.0), "TFR": (0.0, _3DB), "TBL": (0.5, 0.0), "TBR": (0.0, 0.5),
    "TSL": (0.5, 0.0), "TSR": (0.0, 0.5), "TC": (0.5, 0.5), "TFC": (0.5, 0.5), "TBC": (0.5, 0.5),
}  # fmt: skip
# By the number of channels, what they usually are: the order of Microsoft's WAVE format.
USUAL_LAYOUTS = {
    3: ("FL", "FR", "FC"),
    4: ("FL", "FR", "BL", "BR"),
    5: ("FL", "FR", "FC", "BL", "BR"),
    6: ("FL", "FR", "FC", "LFE", "BL", "BR"),
    7: ("FL", "FR", "FC", "LFE", "BC", "SL", "SR"),
    8: ("FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR"),
}


def mixing_matrix(channels: Sequence[str]) -> Samples:
    """Return the matrix (channels, 2) that mixes named channels to stereo.

    Args:
        channels: FFmpeg's names. If one is unknown, the file did not say which channel is which:
            then up to eight channels are what they usually are, and of more, even ones go left
            and odd ones right, at equal shares.
    """
    if len(channels) == 1:
        return np.ones((1, 2), np.float32)
    if len(channels) == 2:
        return np.eye(2, dtype=np.float32)
    if not all(name in COEFFICIENTS for name in channels):
        channels = USUAL_LAYOUTS.get(len(channels), channels)
    if all(name in COEFFICIENTS for name in channels):
        return np.array([COEFFICIENTS[name] for name in channels], np.float32)
    matrix = np.zeros((len(channels), 2), np.float32)
    matrix[0::2, 0] = 1 / len(matrix[0::2])
    matrix[1::2, 1] = 1 / len(matrix[1::2])
    return matrix


class Section:
    """A run of frames of one rate, sample format and channel layout, at the spool's rate.

    Args:
        frame: the first frame.
        rate: Hz wanted.
    """

    def __init__(self, frame: av.AudioFrame, rate: int) -> None:
        self.source_rate = int(frame.sample_rate)
        self._format, self._layout = frame.format.name, frame.layout
        self.source_frames = 0
        self.bad_samples = 0
        self.bad_frames = 0
        self._matrix = mixing_matrix([channel.name for channel in frame.layout.channels])
        self._to_float = av.AudioResampler(format="flt", layout=frame.layout, rate=frame.rate)
        self._resampler = None if self.source_rate == rate else Resampler(self.source_rate, rate)

    @property
    def samples(self) -> int:
        """Samples so far, of all channels."""
        return self.source_frames * self.channels

    @property
    def channels(self) -> int:
        """Channels of the source."""
        return len(self._matrix)

    def fits(self, frame: av.AudioFrame) -> bool:
        """Return whether a frame belongs to this section."""
        same_rate = int(frame.sample_rate) == self.source_rate
        return same_rate and (frame.format.name, frame.layout) == (self._format, self._layout)

    def feed(self, frame: av.AudioFrame) -> list[Samples]:
        """Convert one frame; return what is ready, shape (n, 2) each."""
        frame.pts = None  # else FFmpeg would look at the gaps in the time stamps
        return self._resampled([self._stereo(part) for part in self._to_float.resample(frame)])

    def feed_silence(self, frames: int) -> list[Samples]:
        """Add silence of so many frames; return what is ready."""
        self.source_frames += frames
        return self._resampled([np.zeros((frames, 2), np.float32)])

    def finish(self) -> list[Samples]:
        """Return the rest, so that it is floor(n * rate / source rate) in all."""
        return [self._resampler.finish()] if self._resampler else []

    def _resampled(self, parts: list[Samples]) -> list[Samples]:
        if self._resampler is None:
            return parts
        return [ready for part in parts for ready in self._resampler.feed(part)]

    def _stereo(self, part: av.AudioFrame) -> Samples:
        samples = _array(part, len(self._matrix))
        wrong = ~(np.abs(samples) <= MAX_MAGNITUDE)
        if wrong.any():
            self.bad_samples += int(wrong.sum())
            self.bad_frames += int(wrong.any(axis=1).sum())
            samples = np.where(wrong, np.float32(0), samples)
        self.source_frames += len(samples)
        if len(self._matrix) == 2:
            return samples
        return samples @ self._matrix


class Converter:
    """Writes frames to a spool, measures mean and deviation, and enforces the limits.

    Args:
        writer: of the spool.
        limits: rate and length of the spool.
    """

    def __init__(self, writer: SpoolWriter, limits: AudioLimits) -> None:
        self._writer = writer
        self._blocks = Blocks(self._write)
        self._statistics = Statistics()
        self._limits = limits
        self._sections: list[Section] = []
        self._silence = 0.0  # before the next frame; none if none comes

    @property
    def seconds(self) -> Fraction:
        """How long all is so far."""
        lengths = (Fraction(one.source_frames, one.source_rate) for one in self._sections)
        return sum(lengths, Fraction(0))

    @property
    def damaged_seconds(self) -> Fraction:
        """How much of it was no sound, in any channel."""
        lengths = (Fraction(one.bad_frames, one.source_rate) for one in self._sections)
        return sum(lengths, Fraction(0))

    def feed_silence(self, seconds: float) -> None:
        """Put silence before the next frame."""
        self._silence += seconds

    def feed(self, frame: av.AudioFrame) -> None:
        """Convert and append one decoded frame.

        Raises:
            Failure: `audio_unsupported`, `audio_too_long`, `worker_storage`.
        """
        if frame.samples == 0:
            return
        if not self._sections or not self._sections[-1].fits(frame):
            self._check_supported(frame)
            self._finish_section()
            self._sections.append(Section(frame, self._limits.rate))
        section = self._sections[-1]
        self._write_silence(section)
        self._append(section.feed(frame))

    def _write_silence(self, section: Section) -> None:
        frames = round(self._silence * section.source_rate)
        self._silence = 0.0
        for start in range(0, frames, _SILENT_FRAMES):
            self._append(section.feed_silence(min(_SILENT_FRAMES, frames - start)))

    def _append(self, parts: list[Samples]) -> None:
        for part in parts:
            self._blocks.add(part)
        if self._blocks.taken > self._limits.max_seconds * self._limits.rate:
            raise Failure(
                ErrorCode.AUDIO_TOO_LONG,
                f"the audio is longer than {self._limits.max_seconds} s, the longest this "
                "installation accepts (MAX_AUDIO_SECONDS)",
            )

    def finish(self) -> None:
        """Append what the resampler still holds.

        Raises:
            Failure: `audio_unreadable` (nothing could be decoded, or most of it is no sound),
                `audio_too_short`, `worker_storage`.
        """
        self._finish_section()
        self._blocks.finish()
        with _disk_errors_as_failures():
            self._writer.close()
        if not self._sections:
            raise Failure(ErrorCode.AUDIO_UNREADABLE, "the file holds no audio that can be decoded")
        if self._bad_samples > sum(one.samples for one in self._sections) / 2:
            raise Failure(
                ErrorCode.AUDIO_UNREADABLE,
                "most samples of the file are no sound: not a number, or far above full scale, as "
                "when a file of floating point was written with the numbers of integers",
            )
        seconds = float(self.seconds)
        if seconds < MIN_SECONDS:
            raise Failure(
                ErrorCode.AUDIO_TOO_SHORT,
                f"the audio lasts {seconds * 1000:.0f} ms; at least {MIN_SECONDS * 1000:.0f} ms "
                "are needed",
            )

    def decoded(self, damaged: float, missing: float, tags: dict[str, str]) -> Decoded:
        """Return what the file held; lengths are at the rate of the first section.

        Args:
            damaged: seconds that are silence.
            missing: seconds that the file does not have.
            tags: of the file, cleaned.
        """
        first = self._sections[0]
        return Decoded(
            frames=self._writer.frames,
            source_frames=round(self.seconds * first.source_rate),
            source_rate=first.source_rate,
            source_channels=first.channels,
            normalisation=self._statistics.result(),
            damaged_seconds=round(damaged, 6),
            missing_seconds=round(missing, 6),
            tags=tags,
        )

    @property
    def _bad_samples(self) -> int:
        return sum(one.bad_samples for one in self._sections)

    def _finish_section(self) -> None:
        if self._sections:
            self._append(self._sections[-1].finish())

    def _write(self, block: Samples) -> None:
        self._statistics.add(block)
        with _disk_errors_as_failures():
            self._writer.append(block)

    @staticmethod
    def _check_supported(frame: av.AudioFrame) -> None:
        channels = len(frame.layout.channels)
        if not MIN_RATE <= int(frame.sample_rate) <= MAX_RATE:
            raise Failure(
                ErrorCode.AUDIO_UNSUPPORTED,
                f"a sample rate of {frame.sample_rate} Hz is not supported "
                f"({MIN_RATE} to {MAX_RATE} Hz are)",
            )
        if not 1 <= channels <= MAX_CHANNELS:
            raise Failure(
                ErrorCode.AUDIO_UNSUPPORTED,
                f"{channels} channels are not supported (1 to {MAX_CHANNELS} are)",
            )


@contextmanager
def _disk_errors_as_failures() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Failure(
            ErrorCode.WORKER_STORAGE,
            f"the scratch disk cannot take the decoded audio: {error.strerror}",
        ) from None


def _array(frame: av.AudioFrame, channels: int) -> Samples:
    return np.asarray(frame.to_ndarray(), np.float32).reshape(-1, channels)
