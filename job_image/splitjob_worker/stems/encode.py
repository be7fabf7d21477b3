"""The file of one stem: clipping, then the writer of its format."""

import hashlib
from contextlib import suppress
from pathlib import Path

from splitjob.result import FILE_EXTENSIONS, StemReport
from splitjob_worker.spool import Samples
from splitjob_worker.stems import clipping
from splitjob_worker.stems.encoding import Encoding
from splitjob_worker.stems.output import EncodedStem
from splitjob_worker.stems.waveform import Waveform
from splitjob_worker.stems.writers import open_writer


class StemFile:
    """The file of one stem, while it is written.

    Args:
        stem: its name.
        frames: samples per channel of the stem.
        model_rate: Hz of the stem.
        encoding: format, bit depth and so on.
        folder: where the file goes, as `<stem>.<extension>`.
        gain: of the stem.

    Raises:
        OSError: the disk is full.
        ValueError: the format has no such sample rate.
    """

    def __init__(
        self,
        stem: str,
        frames: int,
        model_rate: int,
        encoding: Encoding,
        folder: Path,
        gain: float = 1.0,
    ) -> None:
        self.path = path_of(stem, encoding, folder)
        self._stem, self._encoding, self._gain = stem, encoding, gain
        rate = encoding.rate(model_rate)
        self._frames = frames * rate // model_rate
        self._waveform = Waveform(stem, rate) if encoding.waveforms else None
        self._writer = open_writer(
            self.path, stem, self._frames, model_rate, encoding, self._waveform
        )

    def write(self, block: Samples) -> None:
        """Append samples as the model gave them, shape (n, 2).

        Raises:
            OSError: the disk is full.
        """
        mode, bounded = self._encoding.clip_mode, self._encoding.bounded
        self.append(clipping.apply(block, self._gain, mode, bounded=bounded))

    def append(self, block: Samples) -> None:
        """Append samples as the file is to hold them, shape (n, 2).

        Raises:
            OSError: the disk is full.
        """
        self._writer.write(block)

    def close(self, peak: float) -> EncodedStem:
        """Finish the file, and write its waveform beside it where that is wanted.

        Args:
            peak: largest magnitude of the stem as the model gave it; 1 is full scale.

        Raises:
            OSError: the disk is full.
        """
        digest = self._writer.close() or _sha256(self.path)
        report = StemReport(
            name=self._stem,
            sha256=digest,
            size=self.path.stat().st_size,
            frames=self._frames,
            peak=peak,
            gain=self._gain,
        )
        waveform = self._waveform.save(self.path.parent) if self._waveform else None
        return EncodedStem(self.path, report, waveform)

    def discard(self) -> None:
        """Delete the file, finished or not."""
        with suppress(OSError):  # a full disk may be the reason for discarding it
            self._writer.abandon()
        self.path.unlink(missing_ok=True)


def path_of(stem: str, encoding: Encoding, folder: Path) -> Path:
    """Return the path of a stem's file."""
    return folder / f"{stem}.{FILE_EXTENSIONS[encoding.format]}"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
