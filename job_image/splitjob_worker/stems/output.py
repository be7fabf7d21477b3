"""Where the files of the stems go, who is told of them, and what a finished one is.

Imports nothing that takes long, so that a job can prepare its output before numpy is loaded.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from splitjob.result import RESIDUAL, StemReport, WaveformReport
from splitjob_worker.scratch import Scratch
from splitjob_worker.stems.encoding import Encoding


@dataclass(frozen=True)
class WaveformFile:
    """A finished waveform.

    Attributes:
        path: where it is.
        report: what the manifest says of it.
    """

    path: Path
    report: WaveformReport


@dataclass(frozen=True)
class EncodedStem:
    """A finished file.

    Attributes:
        path: where it is.
        report: what the job's result says of it.
        waveform: of the file, where waveforms are made.
    """

    path: Path
    report: StemReport
    waveform: WaveformFile | None = None


class FileObserver(Protocol):
    """Is told of the files of the stems; of growth and discarding by the thread that writes."""

    def file_grew(self, path: Path, /) -> None:
        """A file is longer. What was in it stays as it is, except for its beginning."""

    def file_discarded(self, path: Path, /) -> None:
        """A file is about to be deleted; it may be written again."""

    def file_finished(self, stem: EncodedStem, /) -> None:
        """A file is complete."""

    def waveform_finished(self, waveform: WaveformFile, /) -> None:
        """A waveform is complete."""


class NoObserver:
    """A `FileObserver` for files that nobody waits for."""

    def file_grew(self, path: Path) -> None:
        """Do nothing."""

    def file_discarded(self, path: Path) -> None:
        """Do nothing."""

    def file_finished(self, stem: EncodedStem) -> None:
        """Do nothing."""

    def waveform_finished(self, waveform: WaveformFile) -> None:
        """Do nothing."""


@dataclass(frozen=True)
class StemOutput:
    """What is made of the stems, and where.

    Attributes:
        encoding: of the files.
        folder: for the files, `<stem>.<extension>`, and their waveforms; it exists.
        scratch: for the spools.
        observer: is told of each file as it grows and is finished.
        residual_to: in the clip mode `exact`, the stem that takes what the model left over of the
            mixture: one of the model's, or any other name for one more stem.
    """

    encoding: Encoding
    folder: Path
    scratch: Scratch
    observer: FileObserver = field(default_factory=NoObserver)
    residual_to: str = RESIDUAL
