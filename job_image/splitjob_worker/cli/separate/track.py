"""One song: from its file to its stems in the output folder."""

import stat
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from splitjob.errors import ErrorCode, Failure
from splitjob.formats import bitrate_problem
from splitjob_worker import deferred
from splitjob_worker.cancellation import wait_for
from splitjob_worker.cli.separate.console import Console, Progress
from splitjob_worker.cli.separate.layout import Layout, Workspace
from splitjob_worker.cli.separate.models import ModelChoice
from splitjob_worker.cli.separate.options import Arguments
from splitjob_worker.engine.options import Options
from splitjob_worker.scratch import Scratch
from splitjob_worker.source.audio import AudioLimits, Decoded
from splitjob_worker.source.decode import decode, time_limit
from splitjob_worker.spool import Spool
from splitjob_worker.stems.encoding import Encoding
from splitjob_worker.stems.output import EncodedStem, StemOutput

if TYPE_CHECKING:
    from splitjob_worker.engine.separator import Separator
    from splitjob_worker.pipeline import SeparatedSong

MAX_SECONDS = 24 * 3600  # the decoder needs a limit


@dataclass(frozen=True)
class TrackSeparation:
    """Separates the songs of one run, which share all of this.

    Attributes:
        arguments: what was asked for.
        choice: the model.
        loading: the model in memory, or on its way there.
        layout: the names of the files.
        workspace: where they are written first.
        console: where people and programs are told.
        check_cancelled: called every tenth of a second; raises to stop.
    """

    arguments: Arguments
    choice: ModelChoice
    loading: "Future[Separator]"
    layout: Layout
    workspace: Workspace
    console: Console
    check_cancelled: Callable[[], None]

    def separate(self, track: Path) -> dict[str, Any]:
        """Separate one song; afterwards its files are in the output folder.

        Returns:
            What `--json` says of it.

        Raises:
            Failure: it cannot be separated; nothing is left of it.
            OSError: the disk is full, or a file cannot be written to its place.
        """
        began = time.monotonic()
        check_readable(track)
        stems = self.arguments.outputs(self.choice.record.stems)
        self.workspace.prepare(self.layout.path(track, stem) for stem in stems)
        timings: dict[str, int] = {}
        with tempfile.TemporaryDirectory(dir=self.workspace.hidden) as name:
            folder = Path(name)
            mixture, decoded = self._decode(track, folder)
            timings["decode"] = _milliseconds_since(began)
            separator = wait_for(self.loading, self.check_cancelled)
            timings["load"] = _milliseconds_since(began) - timings["decode"]
            progress = Progress(decoded.source_frames / decoded.source_rate)
            song = self._separate(separator, mixture, decoded, folder, progress)
            places = {one.path: self.layout.path(track, one.report.name) for one in song.stems}
            self.check_cancelled()
            self.workspace.publish(places)
        return {
            "file": str(track),
            "status": "completed",
            "model": self.choice.record.name,
            "modelDigest": separator.weights.digest,
            "device": separator.device.type,
            "audio": _audio(decoded),
            "stems": [self._stem(one, places[one.path], song.sample_rate) for one in song.stems],
            "residual": song.residual_dbfs,
            "timings": {**timings, **progress.timings},
            "processingTimeMs": _milliseconds_since(began),
        }

    def encoding(self, decoded: Decoded, model_rate: int) -> Encoding:
        """Return how the files are encoded.

        Args:
            decoded: what is known of the song.
            model_rate: Hz.

        Raises:
            Failure: `audio_unsupported`: the format has no such rate, or none with the bit rate.
        """
        encoding = Encoding(
            format=self.arguments.format,
            bit_depth=self.arguments.bit_depth,
            bitrate_kbps=self.arguments.bitrate_kbps,
            clip_mode=self.arguments.clip_mode,
            mp3_preset=self.arguments.mp3_preset,
            sample_rate=decoded.source_rate if self.arguments.input_rate else None,
            tags=decoded.tags,
        )
        try:
            rate = encoding.rate(model_rate)
        except ValueError as error:
            raise _unsupported(str(error)) from None
        if encoding.bitrate_kbps is not None:
            problem = bitrate_problem(encoding.format, encoding.bitrate_kbps, rate)
            if problem:
                raise _unsupported(problem)
        return encoding

    def _decode(self, track: Path, folder: Path) -> tuple[Spool, Decoded]:
        rate, cpu_seconds = self.choice.record.sample_rate, round(time_limit(MAX_SECONDS))
        limits = AudioLimits(rate, MAX_SECONDS, cpu_seconds=cpu_seconds)
        spool = folder / ".mixture.f32"
        mixture, decoded = decode(track, spool, limits, check_cancelled=self._check)
        if decoded.damaged_seconds:
            self.console.warn(
                f"{track}: {decoded.damaged_seconds:.3f} s are damaged, and silent in the stems"
            )
        if decoded.missing_seconds:
            self.console.warn(
                f"{track}: {decoded.missing_seconds:.3f} s that it should have are not in the file"
            )
        return mixture, decoded

    def _check(self) -> None:
        """Stop decoding if that was asked for, or if the model could not be loaded."""
        self.check_cancelled()
        if self.loading.done():
            self.loading.result()

    def _separate(
        self,
        separator: "Separator",
        mixture: Spool,
        decoded: Decoded,
        folder: Path,
        progress: Progress,
    ) -> "SeparatedSong":
        encoding = self.encoding(decoded, separator.sample_rate)
        options = Options(
            shifts=self.arguments.shifts,
            overlap=self.arguments.overlap,
            seed=self.arguments.seed,
            segment=self.arguments.segment,
        )
        return deferred.separate_song(
            separator,
            mixture,
            decoded.normalisation,
            options,
            StemOutput(
                encoding,
                folder,
                Scratch(folder),
                residual_to=self.arguments.residual_stem(separator.stems),
            ),
            progress,
            self.check_cancelled,
        )

    def _stem(self, stem: EncodedStem, place: Path, sample_rate: int) -> dict[str, Any]:
        """Return what `--json` says of one stem."""
        return {
            "name": stem.report.name,
            "path": str(place),
            "format": self.arguments.format,
            "sampleRate": sample_rate,
            "duration": stem.report.frames / sample_rate,
            "size": stem.report.size,
            "sha256": stem.report.sha256,
            "peak": stem.report.peak,
            "gain": stem.report.gain,
            "silent": stem.report.silent,
        }


def check_readable(track: Path) -> None:
    """Check that a file can be read; the decoder, in its sandbox, could not say why it cannot.

    Raises:
        Failure: `source_not_found`, `source_forbidden`, `audio_unreadable`.
    """
    try:
        mode = track.stat().st_mode
        if not stat.S_ISREG(mode):
            kind = "a folder" if stat.S_ISDIR(mode) else "a pipe or a device"
            raise Failure(ErrorCode.AUDIO_UNREADABLE, f"it is {kind}, not a file")
        track.open("rb").close()
    except (FileNotFoundError, NotADirectoryError, ValueError):
        raise Failure(
            ErrorCode.SOURCE_NOT_FOUND,
            "it does not exist. If the path contains spaces, please try again after surrounding "
            'the entire path with quotes "".',
        ) from None
    except OSError as error:
        raise Failure(ErrorCode.SOURCE_FORBIDDEN, f"it cannot be read: {error.strerror}") from None


def _audio(decoded: Decoded) -> dict[str, Any]:
    """Return what `--json` says of the input."""
    return {
        "duration": decoded.source_frames / decoded.source_rate,
        "sampleRate": decoded.source_rate,
        "channels": decoded.source_channels,
    }


def _unsupported(problem: str) -> Failure:
    return Failure(ErrorCode.AUDIO_UNSUPPORTED, f"{problem}: leave --rate input out")


def _milliseconds_since(began: float) -> int:
    return round((time.monotonic() - began) * 1000)
