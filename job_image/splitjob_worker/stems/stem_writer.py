"""One stem on its way from the model into its file."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np

from splitjob.errors import ErrorCode, Failure
from splitjob_worker.spool import Blocks, Samples, Spool, SpoolWriter
from splitjob_worker.stems import clipping
from splitjob_worker.stems.encode import EncodedStem, Encoding, StemFile, path_of


class FileWatcher(Protocol):
    """Hears of the files of the stems; the first two from the thread that writes the file."""

    def grown(self, path: Path, /) -> None:
        """A file is longer. What is in it stays, but for its beginning."""

    def dropped(self, path: Path, /) -> None:
        """A file is about to be thrown away; it may be made again."""

    def finished(self, stem: EncodedStem, /) -> None:
        """A file is finished."""


class StemWriter:
    """Spools a stem and encodes it at the same time, in the hope that its gain will be 1.

    Whether it is, is known once the model has given all of it. If not, the file is made again from
    the spool; where no gain can come of it, nothing is spooled.

    Args:
        name: of the stem.
        frames: samples a channel.
        model_rate: Hz.
        encoding: how.
        folder: where the file goes.
        spool: where the spool goes.
        peaks: of all stems of the song, as far as they are known; this one's is kept up.
        watcher: hears of the file.
    """

    def __init__(
        self,
        name: str,
        frames: int,
        model_rate: int,
        encoding: Encoding,
        folder: Path,
        spool: Path,
        peaks: dict[str, float],
        watcher: FileWatcher,
    ) -> None:
        self.name = name
        self._frames, self._model_rate = frames, model_rate
        self._encoding, self._folder, self._peaks = encoding, folder, peaks
        self._spool_path = spool
        self._watcher = watcher
        self._spool: SpoolWriter | None = None
        self._file: StemFile | None = None
        self._blocks = Blocks(self._take)

    def open(self) -> None:
        """Begin the files.

        Raises:
            OSError: the disk is full.
        """
        if clipping.may_scale(self._encoding.clip_mode):
            self._spool = SpoolWriter(self._spool_path)
        self._file = self._new_file()

    def write(self, samples: Samples) -> None:
        """Append samples, shape (n, 2).

        Raises:
            Failure: `internal_error`: they are not finite.
            OSError: the disk is full.
        """
        self._blocks.add(samples)

    def end(self) -> None:
        """Take note that the model has given all of it."""
        self._blocks.finish()

    def finish(self, gain: float, check: Callable[[], None]) -> EncodedStem:
        """Finish the file, or make it again where the gain is not 1; the spool is gone then.

        Args:
            gain: of the stem.
            check: called between blocks; raises to stop.

        Raises:
            OSError: the disk is full.
        """
        if self._spool and gain != 1.0:
            self._drop()
            self._encode_again(self._spool.close(), gain, check)
        finished = self._begun().close(self._peaks[self.name])
        if self._spool:
            self._spool.remove()
        return finished

    def remove(self) -> None:
        """Leave nothing behind, also of a finished file."""
        self._drop()
        if self._spool:
            self._spool.remove()
        path_of(self.name, self._encoding, self._folder).unlink(missing_ok=True)

    def _take(self, block: Samples) -> None:
        peak = float(np.abs(block).max())
        if not math.isfinite(peak):
            raise Failure(ErrorCode.INTERNAL_ERROR, "the model gave samples that are not finite")
        self._peaks[self.name] = max(self._peaks[self.name], peak)
        if self._spool:
            self._spool.append(block)
        if self._file and clipping.gains(self._peaks, self._encoding.clip_mode)[self.name] != 1.0:
            self._drop()
        if self._file:
            self._write(self._file, block)

    def _write(self, file: StemFile, block: Samples) -> None:
        file.write(block)
        self._watcher.grown(file.path)

    def _new_file(self, gain: float = 1.0) -> StemFile:
        return StemFile(
            self.name, self._frames, self._model_rate, self._encoding, self._folder, gain
        )

    def _drop(self) -> None:
        if self._file:
            self._watcher.dropped(self._file.path)
            self._file.discard()
            self._file = None

    def _encode_again(self, spool: Spool, gain: float, check: Callable[[], None]) -> None:
        self._file = self._new_file(gain)
        for block in spool.blocks():
            check()
            self._write(self._file, block)

    def _begun(self) -> StemFile:
        if self._file is None:
            raise RuntimeError(f"the file of {self.name} was never begun")
        return self._file
