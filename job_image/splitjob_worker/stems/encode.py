"""Stems become files: wav, flac, mp3, m4a, opus."""

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from splitjob import formats
from splitjob.resource import Format
from splitjob.result import FILE_EXTENSIONS, StemReport
from splitjob_worker.spool import CHANNELS, Samples
from splitjob_worker.stems import clipping, tags
from splitjob_worker.stems.clipping import ClipMode
from splitjob_worker.stems.mp3 import DEFAULT_PRESET, Mp3Writer
from splitjob_worker.stems.wav import BitDepth, WavWriter

if TYPE_CHECKING:
    from splitjob_worker.resampling import Resampler
    from splitjob_worker.stems.ffmpeg import FFmpegWriter

DEFAULT_BITRATES = {"mp3": 320, "m4a": 256, "opus": 160}
OPUS_RATE = 48_000  # Opus knows few rates; this is the one that every player decodes to
CONTENT_TYPES = {
    "wav": "audio/wav",
    "flac": "audio/flac",
    "mp3": "audio/mpeg",
    "m4a": "audio/mp4",
    "opus": "audio/ogg",
}
_LOSSY_SPREAD = 1.25  # a variable bit rate may end above the one asked for
_AROUND_SAMPLES = 1 << 16  # headers, tags and the like, bytes


@dataclass(frozen=True)
class Encoding:
    """How stems are encoded.

    Attributes:
        format: container and codec.
        bit_depth: of wav (16, 24, 32 float) and flac (16, 24).
        bitrate_kbps: of the lossy ones; None: `DEFAULT_BITRATES`.
        clip_mode: what is done above full scale.
        mp3_preset: LAME's quality, 2 (the best) to 7 (the fastest).
        sample_rate: Hz of the files; None: the model's. Opus is always at `OPUS_RATE`.
        tags: of the song, cleaned (`tags.cleaned`).
    """

    format: Format = "wav"
    bit_depth: BitDepth = 16
    bitrate_kbps: int | None = None
    clip_mode: ClipMode = "rescale"
    mp3_preset: int = DEFAULT_PRESET
    sample_rate: int | None = None
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def bounded(self) -> bool:
        """Whether the encoding ends at full scale."""
        return not (self.format == "wav" and self.bit_depth == 32)

    @property
    def bitrate(self) -> int:
        """The bit rate in kbit/s, 0 for formats without loss."""
        return self.bitrate_kbps or DEFAULT_BITRATES.get(self.format, 0)

    def rate(self, model_rate: int) -> int:
        """Return the rate of the file, for stems at `model_rate` Hz.

        Raises:
            ValueError: the format has no such rate; the text says which it has.
        """
        rate = OPUS_RATE if self.format == "opus" else self.sample_rate or model_rate
        if complaint := formats.sample_rate_problem(self.format, rate):
            raise ValueError(complaint)
        return rate

    def size(self, frames: int, model_rate: int) -> int:
        """Return the bytes of a file at most, for a stem of so many samples a channel."""
        rate = self.rate(model_rate)
        samples = frames * rate // model_rate
        if self.bitrate:
            audio = round(samples / rate * self.bitrate * 125 * _LOSSY_SPREAD)
        else:
            audio = samples * CHANNELS * self.bit_depth // 8
        return audio + audio // 64 + _AROUND_SAMPLES


@dataclass(frozen=True)
class EncodedStem:
    """A finished file.

    Attributes:
        path: where it is.
        report: what is said of it.
    """

    path: Path
    report: StemReport


class Writer(Protocol):
    """What all formats have in common."""

    def write(self, block: Samples) -> None:
        """Append samples, shape (n, 2)."""

    def close(self) -> str | None:
        """Finish the file; return its SHA-256 where nothing of it was written twice."""

    def abandon(self) -> None:
        """Close the file as it is, also after an error."""


class StemFile:
    """The file of one stem under way.

    Args:
        stem: its name.
        frames: samples a channel of the stem.
        model_rate: Hz of the stem.
        encoding: how.
        folder: where the file goes, `<stem>.<extension>`.
        gain: of the stem.

    Raises:
        OSError: the disk is full.
        ValueError: the format has no such rate.
    """

    def __init__(
        self,
        stem: str,
        frames: int,
        model_rate: int,
        encoding: Encoding,
        folder: Path,
        gain: float = 1.0,
    ) -> None:
        self.path = path_of(stem, encoding, folder)
        self._stem, self._encoding, self._gain = stem, encoding, gain
        rate = encoding.rate(model_rate)
        self._frames = frames * rate // model_rate
        self._writer = _open(self.path, stem, self._frames, rate, encoding)
        if rate != model_rate:
            from splitjob_worker.resampling import Resampler  # noqa: PLC0415 - as in `_ffmpeg`

            self._writer = _Resampling(self._writer, Resampler(model_rate, rate), encoding.bounded)

    def write(self, block: Samples) -> None:
        """Append samples as they came from the model, shape (n, 2).

        Raises:
            OSError: the disk is full.
        """
        mode, bounded = self._encoding.clip_mode, self._encoding.bounded
        self._writer.write(clipping.apply(block, self._gain, mode, bounded=bounded))

    def close(self, peak: float) -> EncodedStem:
        """Finish the file.

        Args:
            peak: of the stem as it came from the model.

        Raises:
            OSError: the disk is full.
        """
        digest = self._writer.close() or _sha256(self.path)
        report = StemReport(
            name=self._stem,
            sha256=digest,
            size=self.path.stat().st_size,
            frames=self._frames,
            peak=peak,
            gain=self._gain,
        )
        return EncodedStem(self.path, report)

    def discard(self) -> None:
        """Give up: nothing is left."""
        with suppress(OSError):  # a full disk may be why it is given up
            self._writer.abandon()
        self.path.unlink(missing_ok=True)


def path_of(stem: str, encoding: Encoding, folder: Path) -> Path:
    """Return where the file of a stem goes."""
    return folder / f"{stem}.{FILE_EXTENSIONS[encoding.format]}"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _open(path: Path, stem: str, frames: int, rate: int, encoding: Encoding) -> Writer:
    said = tags.for_stem(encoding.tags, stem)
    bitrate = encoding.bitrate
    match encoding.format:
        case "wav":
            return WavWriter(path, frames, rate, encoding.bit_depth, tags.riff_info(said))
        case "mp3":
            return Mp3Writer(path, frames, rate, bitrate, encoding.mp3_preset, tags.id3(said))
        case "flac":
            fmt = "s16" if encoding.bit_depth == 16 else "s32"
            return _ffmpeg(path, ("flac", "flac", fmt), rate, 0, said)
        case "m4a":
            return _ffmpeg(path, ("ipod", "aac", "fltp"), rate, bitrate, said)
        case "opus":
            return _ffmpeg(path, ("ogg", "libopus", "flt"), rate, bitrate, said)


def _ffmpeg(
    path: Path, kind: tuple[str, str, str], rate: int, bitrate: int, said: Mapping[str, str]
) -> "FFmpegWriter":
    # Only where it is needed: the first segment would have to wait for the import.
    from splitjob_worker.stems.ffmpeg import FFmpegWriter  # noqa: PLC0415

    return FFmpegWriter(path, kind, rate, bitrate, said)


class _Resampling:
    """A writer of another rate than what is written to it."""

    def __init__(self, writer: Writer, resampler: "Resampler", bounded: bool) -> None:
        self._writer, self._resampler, self._bounded = writer, resampler, bounded

    def write(self, block: Samples) -> None:
        for part in self._resampler.feed(block):
            self._pass_on(part)

    def close(self) -> str | None:
        self._pass_on(self._resampler.finish())
        return self._writer.close()

    def abandon(self) -> None:
        self._writer.abandon()

    def _pass_on(self, part: Samples) -> None:
        """Pass samples on; between samples at full scale there may be higher ones."""
        self._writer.write(np.clip(part, -1.0, 1.0) if self._bounded else part)
