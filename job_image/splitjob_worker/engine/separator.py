"""A model in memory: from the mixture's spool to blocks of the stems asked for."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from splitjob_worker.engine import device as devices
from splitjob_worker.engine import stream
from splitjob_worker.engine.bag import load_bag
from splitjob_worker.engine.options import Options, Precision, Remainder
from splitjob_worker.engine.position import Earlier, KeepStems, keep_nothing
from splitjob_worker.engine.stream import Block
from splitjob_worker.engine.weights import Weights
from splitjob_worker.machine import cpu_count
from splitjob_worker.normalisation import Normalisation
from splitjob_worker.spool import CHANNELS, Samples, Spool, SpoolReader

SILENCE_DBFS = -200.0  # the residual where mixture and stems agree to the last bit


class Separator:
    """A model in memory, ready on its device.

    Args:
        weights: found and checked.
        device: `cpu`, `cuda` or `mps`, which is an error where there is none, or `auto`, the
            fastest that torch finds.
        stems: those wanted, in this order; None: all of the model. Of a bag, only the models that
            contribute to them are loaded.
        precision: of the arithmetic.
        remainder: one more stem, after the others.

    Attributes:
        device: that the model is on.
        weights: of the model.
        sample_rate: Hz of mixture and stems.
        outputs: the names of the stems that each separation gives, in this order.
        separated: of those that the models give: the ones wanted, and what a remainder adds up.

    Raises:
        Failure: `gpu_error`, `gpu_oom`, `worker_oom`, `model_unavailable`.
    """

    def __init__(
        self,
        weights: Weights,
        device: str,
        stems: Sequence[str] | None = None,
        precision: Precision = "ieee",
        remainder: Remainder | None = None,
    ) -> None:
        self.device = devices.open_device(device)
        self.weights = weights
        devices.configure_torch(cpu_count(), precision)
        self._precision = precision
        self.remainder = remainder
        adding = remainder is not None and remainder.method == "add"
        try:
            self._bag = load_bag(weights, self.device, None if adding else stems)
        except (RuntimeError, MemoryError) as error:
            raise devices.failure(error, self.device) from error
        self.sample_rate = self._bag.sample_rate
        self.stems = tuple(stems or self._bag.stems)
        self.outputs = (*self.stems, *([remainder.name] if remainder else []))
        others = [name for name in self._bag.stems if name not in self.stems]
        self.separated = (*self.stems, *(others if adding else []))

    def separate(
        self,
        mixture: Spool,
        normalisation: Normalisation,
        options: Options,
        *,
        earlier: Earlier | None = None,
        keep: KeepStems = keep_nothing,
        on_progress: Callable[[float], None] = lambda _share: None,
        check_cancelled: Callable[[], None] = lambda: None,
    ) -> "Separation":
        """Separate one song.

        Args:
            mixture: at the model's rate.
            normalisation: of the mixture (`normalisation`).
            options: shifts, overlap and the like; the precision is the separator's own.
            earlier: what is left of an earlier one, which goes on; None: nothing.
            keep: is given what the models give, but not what `earlier` gave.
            on_progress: is told the share that is done, 0 to 1, after each batch of segments.
            check_cancelled: called before and after each batch, and every tenth of a second while
                forward passes run in parallel; raises to stop.

        Returns:
            The separation, which runs while it is iterated over.
        """

        def run(source: SpoolReader) -> Iterator[Block]:
            return stream.separate(
                self._bag,
                source,
                normalisation,
                replace(options, precision=self._precision),
                stems=[self._bag.stems.index(name) for name in self.separated],
                begin=earlier.position if earlier else None,
                on_progress=on_progress,
                check_cancelled=check_cancelled,
            )

        whole = set(self.separated) == set(self._bag.stems)
        return Separation(self, mixture, run, earlier, keep, whole=whole)


class Separation:
    """The separation of one song: yields its stems block by block, and measures the residual.

    Args:
        separator: the model.
        mixture: that the stems come from.
        run: yields the stems of the song, from where the earlier separation broke off to its end.
        earlier: what is left of that; None: nothing.
        keep: is given what `run` yields.
        whole: whether `run` gives all stems of the model.
    """

    def __init__(
        self,
        separator: Separator,
        mixture: Spool,
        run: Callable[[SpoolReader], Iterator[Block]],
        earlier: Earlier | None = None,
        keep: KeepStems = keep_nothing,
        *,
        whole: bool,
    ) -> None:
        self._separator, self._mixture, self._run, self._whole = separator, mixture, run, whole
        self._earlier, self._keep = earlier, keep
        self._energy = 0.0

    def __iter__(self) -> Iterator[Samples]:
        """Yield blocks that follow one another, shape (outputs, 2, n).

        Raises:
            Failure: `gpu_oom`, `gpu_error`, `worker_oom`.
        """
        with self._mixture.reader() as source:
            yield from self._kept(source)
            self._energy = self._earlier.position.residual_energy if self._earlier else 0.0
            for block in self._translated(self._run(source)):
                outputs = self._outputs(block, source)
                position = block.position
                self._keep(
                    block.stems, position and replace(position, residual_energy=self._energy)
                )
                yield outputs

    @property
    def residual_dbfs(self) -> float | None:
        """RMS of the mixture minus the sum of all stems of the model; None for a subset."""
        if not self._whole:
            return None
        rms = math.sqrt(self._energy / (CHANNELS * self._mixture.frames))
        return max(20 * math.log10(rms), SILENCE_DBFS) if rms else SILENCE_DBFS

    def _kept(self, source: SpoolReader) -> Iterator[Samples]:
        """Yield what the earlier separation left."""
        start = 0
        for stems in self._earlier.blocks if self._earlier else ():
            yield self._outputs(Block(start, stems), source)
            start += stems.shape[-1]

    def _translated(self, blocks: Iterator[Block]) -> Iterator[Block]:
        try:
            yield from blocks
        except (RuntimeError, MemoryError) as error:
            raise devices.failure(error, self._separator.device) from error

    def _outputs(self, block: Block, source: SpoolReader) -> Samples:
        remainder, asked = self._separator.remainder, len(self._separator.stems)
        stems = block.stems
        rest = np.empty(0, np.float32)
        if self._whole or remainder:
            rest = source.read(block.start, block.start + stems.shape[-1]).T - stems.sum(axis=0)
            self._energy += float(np.square(rest, dtype=np.float64).sum())
        if remainder is None:
            return stems
        if remainder.method == "add":
            rest = stems[asked:].sum(axis=0)
        return np.concatenate([stems[:asked], rest[np.newaxis]])
