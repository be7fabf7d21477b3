"""One stem on its way from the model into its file."""

import math
from collections.abc import Callable

import numpy as np

from splitjob.errors import ErrorCode, Failure
from splitjob_worker.spool import Blocks, Samples, Spool, SpoolWriter
from splitjob_worker.stems import clipping, waveform
from splitjob_worker.stems.encode import StemFile, path_of
from splitjob_worker.stems.output import EncodedStem, StemOutput


class StemWriter:
    """Spools a stem and encodes it at the same time, in the hope that its gain will be 1.

    The gain is known only once the model has given the whole stem. If it is not 1, the file is
    encoded again from the spool. With a clip mode whose gain is always 1, nothing is spooled.

    Args:
        name: of the stem.
        frames: samples per channel.
        model_rate: Hz.
        output: encoding, folder and observer of the file, and where the spool goes.
        levels: of the song's stems so far; this stem's peak is kept up to date.
    """

    def __init__(
        self,
        name: str,
        frames: int,
        model_rate: int,
        output: StemOutput,
        levels: clipping.Levels,
    ) -> None:
        self.name = name
        self._frames, self._model_rate = frames, model_rate
        self._encoding, self._folder = output.encoding, output.folder
        self._observer = output.observer
        self._spool_path = output.scratch.folder / f"{name}.stem.f32"  # no name has a dot in it
        self._levels = levels
        self._spool: SpoolWriter | None = None
        self._file: StemFile | None = None
        self._blocks = Blocks(self._take)

    def open(self) -> None:
        """Create the spool and the file.

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
        """Take the last samples into account: the model has given the whole stem."""
        self._blocks.finish()
        if self._spool:
            self._spool.close()

    def spooled(self) -> Spool:
        """Return the whole stem as the model gave it."""
        if self._spool is None:
            raise RuntimeError(f"{self.name} was never spooled")
        return self._spool.close()

    def finish(self, gain: float, check: Callable[[], None]) -> EncodedStem:
        """Finish the file, or encode it again if the gain is not 1.

        Args:
            gain: of the stem.
            check: called between blocks; raises to stop.

        Raises:
            OSError: the disk is full.
        """
        if gain != 1.0:
            self._discard()
            self._encode_again(gain, check)
        return self._open_file().close(self._levels.peaks[self.name])

    def remove_spool(self) -> None:
        """Delete the spool; the file can no longer be encoded again."""
        if self._spool:
            self._spool.remove()

    def remove(self) -> None:
        """Delete the spool, the file and its waveform, finished or not."""
        self._discard()
        self.remove_spool()
        path_of(self.name, self._encoding, self._folder).unlink(missing_ok=True)
        waveform.path_of(self.name, self._folder).unlink(missing_ok=True)

    def _take(self, block: Samples) -> None:
        peak = float(np.abs(block).max())
        if not math.isfinite(peak):
            raise not_finite()
        self._levels.peaks[self.name] = max(self._levels.peaks[self.name], peak)
        if self._spool:
            self._spool.append(block)
        if self._file and self._levels.gains()[self.name] != 1.0:
            self._discard()
        if self._file:
            self._write(self._file, block)

    def _write(self, file: StemFile, block: Samples) -> None:
        file.write(block)
        self._observer.file_grew(file.path)

    def _new_file(self, gain: float = 1.0) -> StemFile:
        return StemFile(
            self.name, self._frames, self._model_rate, self._encoding, self._folder, gain
        )

    def _discard(self) -> None:
        if self._file:
            self._observer.file_discarded(self._file.path)
            self._file.discard()
            self._file = None

    def _encode_again(self, gain: float, check: Callable[[], None]) -> None:
        self._file = self._new_file(gain)
        for block in self.spooled().blocks():
            check()
            self._write(self._file, block)

    def _open_file(self) -> StemFile:
        if self._file is None:
            raise RuntimeError(f"the file of {self.name} was never opened")
        return self._file


def not_finite() -> Failure:
    """Return the failure of a song whose stems are no sound."""
    return Failure(ErrorCode.INTERNAL_ERROR, "the model gave samples that are not finite")
