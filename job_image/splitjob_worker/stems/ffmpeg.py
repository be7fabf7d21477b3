"""FLAC, AAC and Opus through FFmpeg."""

import zlib
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from splitjob_worker.spool import Samples
from splitjob_worker.stems.gapless import add_gapless_note

_MAX_SERIAL = (1 << 31) - 1
_AAC_PRIMING = 1024  # samples before the sound, of FFmpeg's encoder


class FFmpegWriter:
    """Writes a file through FFmpeg.

    Args:
        path: the file.
        kind: FFmpeg's names of the container, the codec, and the encoder's sample format.
        rate: Hz.
        bitrate_kbps: of a lossy codec; 0: lossless.
        tags: by FFmpeg's names.
        full_scale: the number that stands for 1 in a lossless codec's samples.
    """

    def __init__(
        self,
        path: Path,
        kind: tuple[str, str, str],
        rate: int,
        bitrate_kbps: int,
        tags: Mapping[str, str],
        full_scale: int,
    ) -> None:
        container, codec, sample_format = kind
        # bitexact: no creation time, no random serial number; the same stems give the same bytes
        options = {"fflags": "+bitexact"}
        if container == "ipod":  # else the length is rounded to milliseconds, and players cut it
            options["movie_timescale"] = str(rate)
        if container == "ogg":  # not 0, and not that of the other stems, which may be joined to it
            options["serial_offset"] = str(1 + zlib.crc32(path.stem.encode()) % _MAX_SERIAL)
        self._container = av.open(f"file:{path}", "w", format=container, options=options)
        stream: Any = self._container.add_stream(codec, rate=rate, layout="stereo")
        self._stream = stream
        self._container.metadata.update(tags)
        stream.format = sample_format
        if bitrate_kbps:
            stream.bit_rate = bitrate_kbps * 1000
        stream.codec_context.open(strict=False)
        self._path, self._rate = path, rate
        self._is_m4a = container == "ipod"
        self._written = self._packets = 0
        self._pack = _QUANTISERS.get(sample_format, _as_float)
        self._full_scale = np.float32(full_scale)
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
            self._pack(block, self._full_scale).reshape(1, -1),
            format=self._input_format,
            layout="stereo",
        )
        frame.sample_rate = self._rate
        frame.time_base = Fraction(1, self._rate)
        frame.pts = self._written  # the container derives priming and end from it
        self._written += len(block)
        self._encode(frame)

    def close(self) -> None:
        """Finish the file."""
        self._encode(None)
        self._mux(self._stream.encode(None))
        self._container.close()
        if self._is_m4a:
            encoded = self._packets * self._stream.codec_context.frame_size
            padding = encoded - _AAC_PRIMING - self._written
            add_gapless_note(self._path, _AAC_PRIMING, self._written, padding)

    def abandon(self) -> None:
        """Close the file as it is, also after an error."""
        self._container.close()

    def _encode(self, frame: av.AudioFrame | None) -> None:
        for part in self._adapt.resample(frame):
            self._mux(self._stream.encode(part))

    def _mux(self, packets: "list[av.Packet[Any]]") -> None:
        self._packets += len(packets)
        self._container.mux(packets)


def _as_float(block: Samples, _full_scale: np.float32) -> NDArray[np.float32]:
    return np.ascontiguousarray(block, np.float32)


def _as_16_bits(block: Samples, full_scale: np.float32) -> NDArray[np.int16]:
    return (block * full_scale).astype(np.int16)


def _as_24_bits(block: Samples, full_scale: np.float32) -> NDArray[np.int32]:
    return (block * full_scale).astype(np.int32) << 8


_QUANTISERS: dict[str, Callable[[Samples, np.float32], NDArray[Any]]] = {
    "s16": _as_16_bits,
    "s32": _as_24_bits,
}
