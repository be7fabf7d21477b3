"""`python -m chaos.stand_in`: the worker itself, but for the model, whose start takes seconds.

Each stem is an equal share of the mixture. All else is what is shipped: the fetch, the decoder, the
encoders, the uploads, the reports and webhooks, and how it ends.
"""

import runpy
import sys
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType, SimpleNamespace

import numpy as np

from splitjob_worker.engine.options import Options, Precision, Remainder
from splitjob_worker.engine.weights import Weights
from splitjob_worker.normalisation import Normalisation
from splitjob_worker.spool import Samples, Spool

REPLACED = "splitjob_worker.engine.separator"
SILENCE_DBFS = -200.0


class Separator:
    """Stands in for `splitjob_worker.engine.separator.Separator`; of that, what a job uses."""

    def __init__(
        self,
        weights: Weights,
        device: str,
        stems: Sequence[str] | None = None,
        precision: Precision = "ieee",
        remainder: Remainder | None = None,
    ) -> None:
        del precision
        self.device = SimpleNamespace(type=device)
        self.weights = weights
        self.sample_rate = weights.record.sample_rate
        self.stems = self.separated = tuple(stems or weights.record.stems)
        self.outputs = (*self.stems, *([remainder.name] if remainder else []))

    def separate(
        self,
        mixture: Spool,
        normalisation: Normalisation,
        options: Options,
        *,
        earlier: object = None,
        keep: object = None,
        on_progress: Callable[[float], None],
        check_cancelled: Callable[[], None],
    ) -> "Separation":
        """Return the shares of the mixture; nothing is kept of them for another attempt."""
        del normalisation, options, earlier, keep
        return Separation(mixture, len(self.outputs), on_progress, check_cancelled)


class Separation:
    """Yields equal shares of a mixture, block by block."""

    residual_dbfs = SILENCE_DBFS

    def __init__(
        self,
        mixture: Spool,
        count: int,
        on_progress: Callable[[float], None],
        check_cancelled: Callable[[], None],
    ) -> None:
        self._mixture, self._count = mixture, count
        self._on_progress, self._check = on_progress, check_cancelled

    def __iter__(self) -> Iterator[Samples]:
        """Yield blocks of shape (stems, 2, n)."""
        done = 0
        for block in self._mixture.blocks():
            self._check()
            yield np.repeat(block.T[np.newaxis] / np.float32(self._count), self._count, axis=0)
            done += len(block)
            self._on_progress(done / self._mixture.frames)


def main() -> None:
    """Run a job with the stand-in in the model's place; torch is never imported."""
    stand_in = ModuleType(REPLACED)
    vars(stand_in).update(Separator=Separator, Separation=Separation)
    sys.modules[REPLACED] = stand_in
    runpy.run_module("splitjob_worker", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
