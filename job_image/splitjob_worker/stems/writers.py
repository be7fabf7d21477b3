"""The writer of each format, behind one interface.

FFmpeg's library is imported only for the formats that need it: for the others, the first segment
would have to wait for the import.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from splitjob_worker.spool import Samples
from splitjob_worker.stems import tags
from splitjob_worker.stems.encoding import Encoding
from splitjob_worker.stems.mp3 import Mp3Writer
from splitjob_worker.stems.wav import WavWriter
from splitjob_worker.stems.waveform import Waveform

if TYPE_CHECKING:
    from splitjob_worker.resampling import Resampler


class Writer(Protocol):
    """What the writers of all formats have in common."""

    def write(self, block: Samples) -> None:
        """Append samples, shape (n, 2)."""

    def close(self) -> str | None:
        """Finish the file; return its SHA-256 where no byte of it was written twice."""

    def abandon(self) -> None:
        """Close the file as it is, also after an error."""


def open_writer(
    path: Path,
    stem: str,
    frames: int,
    model_rate: int,
    encoding: Encoding,
    waveform: Waveform | None = None,
) -> Writer:
    """Create the file of a stem.

    Args:
        path: the file.
        stem: its name, for the title tag.
        frames: samples per channel of the file, at its own rate.
        model_rate: Hz of the samples that will be written; resampled where the file's differs.
        encoding: format, bit depth and so on.
        waveform: is given the samples as the file holds them.

    Raises:
        OSError: the disk is full.
        ValueError: the format has no such sample rate.
    """
    rate = encoding.rate(model_rate)
    writer = _open(path, tags.for_stem(encoding.tags, stem), frames, rate, encoding)
    if waveform:
        writer = _DrawingWriter(writer, waveform, encoding.bounded)
    if rate == model_rate:
        return writer
    from splitjob_worker.resampling import Resampler  # noqa: PLC0415 - see the module's docstring

    return _ResamplingWriter(writer, Resampler(model_rate, rate), encoding.bounded)


def _open(
    path: Path, song_tags: Mapping[str, str], frames: int, rate: int, encoding: Encoding
) -> Writer:
    bitrate = encoding.bitrate
    match encoding.format:
        case "wav":
            chunks = tags.riff_chunks(song_tags)
            return WavWriter(path, frames, rate, encoding.bit_depth, chunks, encoding.full_scale)
        case "mp3":
            id3 = tags.id3(song_tags)
            return Mp3Writer(path, frames, rate, bitrate, encoding.mp3_preset, id3)
        case "flac":
            sample_format = "s16" if encoding.bit_depth == 16 else "s32"
            return _open_ffmpeg(path, ("flac", "flac", sample_format), rate, song_tags, encoding)
        case "m4a":
            return _open_ffmpeg(path, ("ipod", "aac", "fltp"), rate, song_tags, encoding)
        case "opus":
            return _open_ffmpeg(path, ("ogg", "libopus", "flt"), rate, song_tags, encoding)


def _open_ffmpeg(
    path: Path,
    kind: tuple[str, str, str],
    rate: int,
    song_tags: Mapping[str, str],
    encoding: Encoding,
) -> Writer:
    from splitjob_worker.stems.ffmpeg import FFmpegWriter  # noqa: PLC0415 - see the docstring

    return FFmpegWriter(path, kind, rate, encoding.bitrate, song_tags, encoding.full_scale)


class _DrawingWriter:
    """Shows the samples of a file to its waveform."""

    def __init__(self, writer: Writer, waveform: Waveform, bounded: bool) -> None:
        self._writer, self._waveform, self._bounded = writer, waveform, bounded

    def write(self, block: Samples) -> None:
        self._writer.write(block)
        self._waveform.add(block if self._bounded else np.clip(block, -1.0, 1.0))

    def close(self) -> str | None:
        return self._writer.close()

    def abandon(self) -> None:
        self._writer.abandon()


class _ResamplingWriter:
    """Takes samples at the model's rate and writes a file at another one."""

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
        """Write samples; resampling can raise peaks above full scale, which are cut off again."""
        self._writer.write(np.clip(part, -1.0, 1.0) if self._bounded else part)
