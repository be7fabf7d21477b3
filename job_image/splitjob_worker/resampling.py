"""Converts stereo samples from one rate to another."""

from typing import Any

import av
import numpy as np

from splitjob_worker.spool import CHANNELS, Samples


class Resampler:
    """Resamples stereo; n samples become exactly floor(n * rate / source rate).

    Args:
        source_rate: Hz.
        rate: Hz wanted.
    """

    def __init__(self, source_rate: int, rate: int) -> None:
        self._source_rate, self._rate = source_rate, rate
        self._taken = self._given = 0
        self._resample = av.AudioResampler(format="flt", layout="stereo", rate=rate)

    def feed(self, samples: Samples) -> list[Samples]:
        """Take the next samples, shape (n, 2); return those that are ready, in the same shape."""
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples).reshape(1, -1), format="flt", layout="stereo"
        )
        frame.sample_rate = self._source_rate
        self._taken += len(samples)
        ready = self._arrays(frame)
        self._given += sum(map(len, ready))
        return ready

    def finish(self) -> Samples:
        """Return the rest, cut or padded with silence to the exact length."""
        wanted = max(self._taken * self._rate // self._source_rate - self._given, 0)
        silence = np.zeros((wanted, CHANNELS), np.float32)
        return np.concatenate([*self._arrays(None), silence])[:wanted]

    def _arrays(self, frame: av.AudioFrame | None) -> list[Samples]:
        parts: list[Any] = self._resample.resample(frame)
        return [part.to_ndarray().reshape(-1, CHANNELS) for part in parts]
