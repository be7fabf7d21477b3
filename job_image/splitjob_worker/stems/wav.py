"""WAV files of any size: RIFF, and RF64 where 32-bit sizes do not suffice.

Above 16 bits, integer or float, the format is WAVE_FORMAT_EXTENSIBLE, as Microsoft asks for: it
says how many bits of a sample count, and which speaker each channel belongs to.

Sources: Microsoft's RIFF WAVE and WAVEFORMATEXTENSIBLE descriptions; EBU Tech 3306 (RF64). Samples
are quantised as Demucs does: scaled by 2^(bits-1) - 1 and truncated, without dither. The clip mode
`exact` scales them by 2^(bits-1).
"""

import hashlib
import struct
from pathlib import Path

import numpy as np

from splitjob_worker.spool import CHANNELS, Samples
from splitjob_worker.stems.encoding import BitDepth

_INTEGER, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_SPEAKERS = 0b11  # front left, front right
_SUBFORMAT = bytes.fromhex("0000 1000 8000 00aa00389b71")  # of the GUID, behind the kind
_LIMIT = 0xFFFF_FFFF


def header(frames: int, sample_rate: int, bit_depth: BitDepth, info: bytes = b"") -> bytes:
    """Return everything before the samples.

    Args:
        frames: samples per channel.
        sample_rate: Hz.
        bit_depth: 16, 24, or 32 for float.
        info: chunks between the format and the samples (`tags.riff_chunks`).
    """
    size = frames * CHANNELS * bit_depth // 8
    format_chunk = _chunk(b"fmt ", _format(sample_rate, bit_depth))
    if bit_depth == 32:
        format_chunk += _chunk(b"fact", struct.pack("<I", min(frames, _LIMIT)))
    format_chunk += info
    riff_size = 4 + len(format_chunk) + 8 + size + size % 2
    if riff_size <= _LIMIT:
        start = b"RIFF" + struct.pack("<I", riff_size) + b"WAVE"
        return start + format_chunk + b"data" + struct.pack("<I", size)
    sizes = _chunk(b"ds64", struct.pack("<QQQI", riff_size + 36, size, frames, 0))
    start = b"RF64" + struct.pack("<I", _LIMIT) + b"WAVE"
    return start + sizes + format_chunk + b"data" + struct.pack("<I", _LIMIT)


def quantise(block: Samples, bit_depth: BitDepth, full_scale: int | None = None) -> bytes:
    """Return samples as little-endian PCM; 32 bits are float and not limited.

    Args:
        block: samples in [-1, 1].
        bit_depth: 16, 24, or 32 for float.
        full_scale: the number that stands for 1; None: 2^(bits - 1) - 1.
    """
    if bit_depth == 32:
        return block.astype("<f4").tobytes()
    scaled = block * np.float32(full_scale or 2 ** (bit_depth - 1) - 1)
    if bit_depth == 16:
        return scaled.astype("<i2").tobytes()
    whole = scaled.astype("<i4")
    return whole.reshape(-1, 1).view(np.uint8)[:, :3].tobytes()


class WavWriter:
    """Writes a WAV file whose length is known.

    Args: as of `header` and `quantise`.
    """

    def __init__(
        self,
        path: Path,
        frames: int,
        sample_rate: int,
        bit_depth: BitDepth,
        info: bytes = b"",
        full_scale: int | None = None,
    ) -> None:
        self._bit_depth, self._full_scale = bit_depth, full_scale
        self._bytes = 0
        self._digest = hashlib.sha256()
        self._file = path.open("wb")
        self._append(header(frames, sample_rate, bit_depth, info))

    def write(self, block: Samples) -> None:
        """Append samples, shape (n, 2)."""
        data = quantise(block, self._bit_depth, self._full_scale)
        self._bytes += len(data)
        self._append(data)

    def close(self) -> str:
        """Finish the file; return its SHA-256."""
        self._append(b"\0" * (self._bytes % 2))
        self._file.close()
        return self._digest.hexdigest()

    def abandon(self) -> None:
        """Close the file as it is, also after an error."""
        self._file.close()

    def _append(self, data: bytes) -> None:
        self._digest.update(data)
        self._file.write(data)


def _format(sample_rate: int, bit_depth: BitDepth) -> bytes:
    kind = _FLOAT if bit_depth == 32 else _INTEGER
    tag = _EXTENSIBLE if bit_depth > 16 else kind
    block = CHANNELS * bit_depth // 8
    plain = struct.pack(
        "<HHIIHH", tag, CHANNELS, sample_rate, sample_rate * block, block, bit_depth
    )
    if tag != _EXTENSIBLE:
        return plain
    extension = struct.pack("<HII", bit_depth, _SPEAKERS, kind) + _SUBFORMAT
    return plain + struct.pack("<H", len(extension)) + extension


def _chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content
