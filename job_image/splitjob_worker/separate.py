"""Separation as a job needs it: from the mixture's spool to one spool for each stem asked for."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from splitjob.errors import ErrorCode, Failure
from splitjob.result import remainder_name
from splitjob_worker.engine import device as devices
from splitjob_worker.engine import stream
from splitjob_worker.engine.bag import load_bag
from splitjob_worker.engine.statistics import normalisation
from splitjob_worker.engine.stream import Block, Options
from splitjob_worker.machine import cpus
from splitjob_worker.spool import (
    CHANNELS,
    Samples,
    SeparatedStem,
    Spool,
    SpoolReader,
    SpoolWriter,
)
from splitjob_worker.weights import Weights

__all__ = ["Options", "Separation", "Separator"]

SILENCE_DBFS = -200.0  # said where mixture and stems agree to the last bit


@dataclass(frozen=True)
class Separation:
    """What separating gave.

    Attributes:
        stems: those asked for, the remainder last.
        residual_dbfs: RMS of the mixture minus the sum of all stems; None for a subset.
    """

    stems: list[SeparatedStem]
    residual_dbfs: float | None


class Separator:
    """A model in memory, ready on its device.

    Args:
        weights: found and checked.
        device: `cpu`, `cuda` or `mps`; one that is not there is an error, never another device.
        stems: those wanted, in this order; None: all of the model. Of a bag, only the models that
            contribute to them are loaded.
        precision: of the calculation.

    Raises:
        Failure: `gpu_error`, `gpu_oom`, `worker_oom`, `model_unavailable`.
    """

    def __init__(
        self,
        weights: Weights,
        device: str,
        stems: Sequence[str] | None = None,
        precision: devices.Precision = "ieee",
    ) -> None:
        self.device = devices.open_device(device)
        self.weights = weights
        devices.set_up(cpus(), precision)
        self._precision = precision
        try:
            self._bag = load_bag(weights, self.device, stems)
        except (RuntimeError, MemoryError) as error:
            raise devices.failure(error, self.device) from error
        self.sample_rate = self._bag.sample_rate
        self.stems = tuple(stems or self._bag.stems)

    def separate(
        self,
        mixture: Spool,
        options: Options,
        scratch: Path,
        *,
        remainder: bool = False,
        on_progress: Callable[[float], None] = lambda _share: None,
        check_stop: Callable[[], None] = lambda: None,
    ) -> Separation:
        """Separate one song.

        Args:
            mixture: at the model's rate.
            options: shifts, overlap and the like; the precision is the separator's own.
            scratch: the folder for the stems.
            remainder: also give the mixture minus the stems.
            on_progress: hears the share that is done, 0 to 1, after each batch of segments.
            check_stop: called before and after each batch; raises to stop.

        Raises:
            Failure: `gpu_oom`, `gpu_error`, `worker_oom`.
            OSError: the disk is full.
        """
        whole = set(self.stems) == set(self._bag.stems)
        rest = [remainder_name(list(self.stems))] if remainder else []
        with mixture.reader() as source:
            stems = _Stems([*self.stems, *rest], source, scratch)
            try:
                for block in self._blocks(mixture, source, options, on_progress, check_stop):
                    stems.append(block)
            except (RuntimeError, MemoryError) as error:
                raise devices.failure(error, self.device) from error
            finally:
                separated = stems.close()
        return Separation(separated, stems.residual_dbfs() if whole else None)

    def _blocks(
        self,
        mixture: Spool,
        source: SpoolReader,
        options: Options,
        on_progress: Callable[[float], None],
        check_stop: Callable[[], None],
    ) -> Iterator[Block]:
        return stream.separate(
            self._bag,
            self.device,
            source,
            normalisation(mixture.blocks()),
            replace(options, precision=self._precision),
            stems=[self._bag.stems.index(name) for name in self.stems],
            on_progress=on_progress,
            check_stop=check_stop,
        )


class _Stems:
    """Spools of the stems under way; what there is to know of them is measured as they pass.

    Args:
        names: of the files; one more than a block has stems: the last is the remainder.
        mixture: that they came from.
        scratch: the folder.
    """

    def __init__(self, names: list[str], mixture: SpoolReader, scratch: Path) -> None:
        self._mixture = mixture
        self._names = names
        self._writers = [SpoolWriter(scratch / f"{name}.f32") for name in names]
        self._peaks = [0.0] * len(names)
        self._energy = 0.0

    def append(self, block: Block) -> None:
        """Write a block.

        Raises:
            Failure: `internal_error`: it is not finite.
        """
        mixed = self._mixture.read(block.start, block.start + block.stems.shape[-1])
        rest = mixed.T - block.stems.sum(axis=0)
        self._energy += float(np.square(rest, dtype=np.float64).sum())
        for index, samples in enumerate([*block.stems, rest][: len(self._names)]):
            self._write(index, samples)

    def _write(self, index: int, samples: Samples) -> None:
        peak = float(np.abs(samples).max())
        if not math.isfinite(peak):
            raise Failure(ErrorCode.INTERNAL_ERROR, "the model gave samples that are not finite")
        self._peaks[index] = max(self._peaks[index], peak)
        self._writers[index].append(samples.T)

    def close(self) -> list[SeparatedStem]:
        """Finish the files."""
        return [
            SeparatedStem(name, writer.close(), peak)
            for name, writer, peak in zip(self._names, self._writers, self._peaks, strict=True)
        ]

    def residual_dbfs(self) -> float:
        """Return the RMS of the mixture minus the sum of the stems."""
        rms = math.sqrt(self._energy / (CHANNELS * self._mixture.frames))
        return max(20 * math.log10(rms), SILENCE_DBFS) if rms else SILENCE_DBFS
