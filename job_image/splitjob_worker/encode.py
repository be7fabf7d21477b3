"""Stems on scratch become files: wav, flac, mp3, m4a, opus; several at once."""

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import av
import numpy as np
from numpy.typing import NDArray

from splitjob.resource import ClipMode, Format
from splitjob.result import FILE_EXTENSIONS, StemReport
from splitjob_worker import clipping
from splitjob_worker.machine import cpus
from splitjob_worker.mp3 import Mp3Writer
from splitjob_worker.spool import Samples, SeparatedStem
from splitjob_worker.wav import BitDepth, WavWriter

DEFAULT_BITRATES = {"mp3": 320, "m4a": 256, "opus": 160}
OPUS_RATE = 48_000  # Opus knows few rates; this is the one that every player decodes to
CONTENT_TYPES = {
    "wav": "audio/wav",
    "flac": "audio/flac",
    "mp3": "audio/mpeg",
    "m4a": "audio/mp4",
    "opus": "audio/ogg",
}


@dataclass(frozen=True)
class Encoding:
    """How stems are encoded.

    Attributes:
        format: container and codec.
        bit_depth: of wav (16, 24, 32 float) and flac (16, 24).
        bitrate_kbps: of the lossy ones; None: `DEFAULT_BITRATES`.
        clip_mode: what is done above full scale.
    """

    format: Format = "wav"
    bit_depth: BitDepth = 16
    bitrate_kbps: int | None = None
    clip_mode: ClipMode = "rescale"

    @property
    def bounded(self) -> bool:
        """Whether the encoding ends at full scale."""
        return not (self.format == "wav" and self.bit_depth == 32)

    def rate(self, sample_rate: int) -> int:
        """Return the rate of the file, for stems at `sample_rate` Hz."""
        return OPUS_RATE if self.format == "opus" else sample_rate


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

    def close(self) -> None:
        """Finish the file."""


def encode_all(
    stems: list[SeparatedStem],
    encoding: Encoding,
    sample_rate: int,
    folder: Path,
    *,
    check_stop: Callable[[], None] = lambda: None,
) -> list[EncodedStem]:
    """Encode every stem, in parallel where there are CPUs for it.

    Args:
        stems: on scratch.
        encoding: how.
        sample_rate: Hz of the stems.
        folder: where the files go, `<stem>.<extension>`.
        check_stop: called between blocks; raises to stop.

    Raises:
        OSError: the disk is full.
    """
    gains = clipping.gains({stem.name: stem.peak for stem in stems}, encoding.clip_mode)
    with ThreadPoolExecutor(max_workers=min(cpus(), len(stems), 4)) as pool:
        tasks = [
            pool.submit(_encode, stem, gains[stem.name], encoding, sample_rate, folder, check_stop)
            for stem in stems
        ]
        return [task.result() for task in tasks]


def _encode(
    stem: SeparatedStem,
    gain: float,
    encoding: Encoding,
    sample_rate: int,
    folder: Path,
    check_stop: Callable[[], None],
) -> EncodedStem:
    path = folder / f"{stem.name}.{FILE_EXTENSIONS[encoding.format]}"
    writer = _open(path, stem.spool.frames, sample_rate, encoding)
    for block in stem.spool.blocks():
        check_stop()
        writer.write(clipping.apply(block, gain, encoding.clip_mode, bounded=encoding.bounded))
    writer.close()
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    frames = stem.spool.frames * encoding.rate(sample_rate) // sample_rate
    report = StemReport(
        name=stem.name,
        sha256=digest,
        size=path.stat().st_size,
        frames=frames,
        peak=stem.peak,
        gain=gain,
    )
    return EncodedStem(path, report)


def _open(path: Path, frames: int, sample_rate: int, encoding: Encoding) -> Writer:
    bitrate = encoding.bitrate_kbps or DEFAULT_BITRATES.get(encoding.format, 0)
    match encoding.format:
        case "wav":
            return WavWriter(path, frames, sample_rate, encoding.bit_depth)
        case "mp3":
            return Mp3Writer(path, frames, sample_rate, bitrate)
        case "flac":
            fmt = "s16" if encoding.bit_depth == 16 else "s32"
            return FFmpegWriter(path, "flac", "flac", fmt, sample_rate)
        case "m4a":
            return FFmpegWriter(path, "ipod", "aac", "fltp", sample_rate, bitrate)
        case "opus":
            return FFmpegWriter(path, "ogg", "libopus", "flt", sample_rate, bitrate, OPUS_RATE)


class FFmpegWriter:
    """Writes a file through FFmpeg.

    Args:
        path: the file.
        container: FFmpeg's name of it.
        codec: FFmpeg's name of it.
        sample_format: what the encoder takes.
        sample_rate: Hz of the samples.
        bitrate_kbps: of a lossy codec; 0: none.
        output_rate: Hz of the file, where it differs.
    """

    def __init__(
        self,
        path: Path,
        container: str,
        codec: str,
        sample_format: str,
        sample_rate: int,
        bitrate_kbps: int = 0,
        output_rate: int | None = None,
    ) -> None:
        rate = output_rate or sample_rate
        # bitexact: no time of creation, no random serial: the same stems give the same bytes
        self._container = av.open(
            f"file:{path}", "w", format=container, options={"fflags": "+bitexact"}
        )
        stream: Any = self._container.add_stream(codec, rate=rate, layout="stereo")
        self._stream = stream
        stream.format = sample_format
        if bitrate_kbps:
            stream.bit_rate = bitrate_kbps * 1000
        stream.codec_context.open(strict=False)
        self._source_rate = sample_rate
        self._written = 0
        self._pack = _QUANTISERS.get(sample_format, _as_float)
        self._input_format = {"s16": "s16", "s32": "s32"}.get(sample_format, "flt")
        self._adapt = av.AudioResampler(
            format=sample_format,
            layout="stereo",
            rate=rate,
            frame_size=stream.codec_context.frame_size,
        )

    def write(self, block: Samples) -> None:
        """Append samples, shape (n, 2)."""
        frame = av.AudioFrame.from_ndarray(
            self._pack(block).reshape(1, -1), format=self._input_format, layout="stereo"
        )
        frame.sample_rate = self._source_rate
        frame.time_base = Fraction(1, self._source_rate)
        frame.pts = self._written  # by which the container knows priming and end
        self._written += len(block)
        self._encode(frame)

    def close(self) -> None:
        """Finish the file."""
        self._encode(None)
        self._container.mux(self._stream.encode(None))
        self._container.close()

    def _encode(self, frame: av.AudioFrame | None) -> None:
        for part in self._adapt.resample(frame):
            self._container.mux(self._stream.encode(part))


def _as_float(block: Samples) -> NDArray[np.float32]:
    return np.ascontiguousarray(block, np.float32)


def _as_16_bits(block: Samples) -> NDArray[np.int16]:
    return (block * np.float32(2**15 - 1)).astype(np.int16)


def _as_24_bits(block: Samples) -> NDArray[np.int32]:
    return (block * np.float32(2**23 - 1)).astype(np.int32) << 8


_QUANTISERS: dict[str, Callable[[Samples], NDArray[Any]]] = {"s16": _as_16_bits, "s32": _as_24_bits}
