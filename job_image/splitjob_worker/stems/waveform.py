"""Waveforms: what a player draws of a file without downloading it.

The format is that of the `audiowaveform` program, version 2, as JSON, 8 bit, and so are the values,
for a 16-bit file of the same samples: both channels are averaged, the least and the greatest
average of each point are kept, and whatever does not divide is rounded towards zero. Its
`--pixels-per-second 100` gives points of a whole number of samples, which again is rounded down.

Source: "Waveform data file format" and `WaveformGenerator` of https://github.com/bbc/audiowaveform.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from splitjob.result import WAVEFORM_SUFFIX, WaveformReport
from splitjob_worker.spool import CHANNELS, Samples
from splitjob_worker.stems.output import WaveformFile

POINTS_PER_SECOND = 100
VERSION = 2
_FULL_SCALE = np.float32(2**15 - 1)  # of the 16-bit samples that are drawn
_STEP = 256  # 16-bit values in one of 8 bits
_VALUES_AT_ONCE = 1 << 16  # of the JSON array, so that its text is never whole in memory


class Waveform:
    """The waveform of one file, while its samples come. An hour takes 720 kB.

    Args:
        name: of the stem, or `mixture`.
        rate: of the samples, Hz.
    """

    def __init__(self, name: str, rate: int) -> None:
        self._name, self._rate = name, rate
        self._samples_per_point = samples_per_point(rate)
        self._values = bytearray()  # least and greatest of each point, in turn, as int8
        self._rest = np.empty(0, np.int32)  # of a point that is not complete

    def add(self, block: Samples) -> None:
        """Take the next samples, shape (n, 2), in [-1, 1]."""
        sums = np.concatenate((self._rest, _sums(block)))
        complete = len(sums) // self._samples_per_point * self._samples_per_point
        self._append(sums[:complete].reshape(-1, self._samples_per_point))
        self._rest = sums[complete:].copy()  # a view would keep the whole block

    def save(self, folder: Path) -> WaveformFile:
        """Write the file, `<name>.waveform.json`; nothing can be added afterwards.

        Raises:
            OSError: the disk is full.
        """
        if len(self._rest):
            self._append(self._rest.reshape(1, -1))
        path = path_of(self._name, folder)
        digest = hashlib.sha256()
        with path.open("wb") as file:
            for piece in self._pieces():
                digest.update(piece)
                file.write(piece)
            size = file.tell()
        return WaveformFile(path, WaveformReport(self._name, digest.hexdigest(), size))

    def _append(self, sums: NDArray[np.int32]) -> None:
        """Append points; `sums` holds the samples of one in each row.

        Averages and steps are taken of the extremes alone: rounding towards zero keeps the order.
        """
        extremes = np.stack([sums.min(axis=1), sums.max(axis=1)], axis=1)
        self._values += (extremes / (CHANNELS * _STEP)).astype(np.int8).tobytes()

    def _pieces(self) -> Iterator[bytes]:
        values = np.frombuffer(self._values, np.int8)
        head = {
            "version": VERSION,
            "channels": 1,
            "sample_rate": self._rate,
            "samples_per_pixel": self._samples_per_point,
            "bits": 8,
            "length": len(values) // 2,
        }
        yield json.dumps(head, separators=(",", ":"))[:-1].encode() + b',"data":['
        for start in range(0, len(values), _VALUES_AT_ONCE):
            part = values[start : start + _VALUES_AT_ONCE].tolist()
            text = json.dumps(part, separators=(",", ":"))[1:-1]
            yield (f",{text}" if start else text).encode()
        yield b"]}\n"


def samples_per_point(rate: int) -> int:
    """Return how many samples a channel one point stands for; a hundredth of a second of them."""
    return rate // POINTS_PER_SECOND


def path_of(name: str, folder: Path) -> Path:
    """Return the path of a waveform.

    Args:
        name: of the stem, or `mixture`.
        folder: where the stems' files go.
    """
    return folder / f"{name}{WAVEFORM_SUFFIX}.json"


def max_bytes(samples: int, rate: int) -> int:
    """Return the largest size of a waveform in bytes.

    Args:
        samples: per channel.
        rate: Hz.
    """
    points = samples // samples_per_point(rate) + 1
    return 256 + points * 2 * len("-127,")


def _sums(block: Samples) -> NDArray[np.int32]:
    """Return the sum of both channels of each sample, as they are in a 16-bit file."""
    whole = (block * _FULL_SCALE).astype(np.int16)
    return np.add(whole[:, 0], whole[:, 1], dtype=np.int32)
