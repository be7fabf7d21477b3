"""Samples as they lie in the bucket.

Of float32 sound, sign and exponent repeat themselves and shrink to a third; the rest is as good as
random, and to compress it would take longer than to send it.
"""

import struct
import zlib
from collections.abc import Iterator

import numpy as np

from splitjob_worker.spool import Samples

_PIECE_SAMPLES = 1 << 18  # what is packed at once: 1 MiB
_LENGTHS = struct.Struct("<II")  # of a piece: samples, bytes of their compressed first bytes
_FASTEST = 1


class DamagedError(ValueError):
    """What was read is not what `pack` makes."""


def pack(samples: Samples) -> bytes:
    """Return samples of any shape, packed."""
    return b"".join(_packed(np.ascontiguousarray(samples, "<f4").reshape(-1)))


def unpack(packed: bytes) -> Samples:
    """Return packed samples, in one dimension.

    Raises:
        DamagedError: they are damaged.
    """
    try:
        return np.concatenate([np.empty(0, np.float32), *_unpacked(packed)])
    except (struct.error, zlib.error, ValueError) as error:
        raise DamagedError(str(error)) from None


def _packed(flat: Samples) -> Iterator[bytes]:
    for start in range(0, len(flat), _PIECE_SAMPLES):
        octets = flat[start : start + _PIECE_SAMPLES].view(np.uint8).reshape(-1, 4)
        exponents = zlib.compress(octets[:, 3].tobytes(), _FASTEST)
        yield _LENGTHS.pack(len(octets), len(exponents))
        yield exponents
        yield octets[:, :3].tobytes()


def _unpacked(packed: bytes) -> Iterator[Samples]:
    position = 0
    while position < len(packed):
        count, length = _LENGTHS.unpack_from(packed, position)
        middle = position + _LENGTHS.size + length
        octets = np.empty((count, 4), np.uint8)
        exponents = zlib.decompress(packed[position + _LENGTHS.size : middle])
        octets[:, 3] = np.frombuffer(exponents, np.uint8)
        rest = np.frombuffer(packed, np.uint8, count * 3, middle)
        octets[:, :3] = rest.reshape(-1, 3)
        yield octets.reshape(-1).view("<f4")
        position = middle + count * 3
