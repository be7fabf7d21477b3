"""One song: from its file to its stems in their places."""

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
from splitjob_worker.cli.separate.console import Console, Progress
from splitjob_worker.cli.separate.layout import Layout, Workspace
from splitjob_worker.cli.separate.models import Chosen
from splitjob_worker.cli.separate.options import Arguments
from splitjob_worker.scratch import Scratch
from splitjob_worker.source.audio import Decoded, Limits
from splitjob_worker.source.decode import decode, time_limit
from splitjob_worker.spool import Spool
from splitjob_worker.stopping import awaited

if TYPE_CHECKING:
    from splitjob_worker.engine.separator import Separator
    from splitjob_worker.pipeline import Song
    from splitjob_worker.stems.encode import Encoding

MAX_SECONDS = 24 * 3600  # the decoder's limits have to end somewhere


@dataclass(frozen=True)
class Tracks:
    """What all songs of a run share.

    Attributes:
        arguments: what was asked for.
        chosen: the model.
        separator: the model in memory, or on its way there.
        layout: the names of the files.
        workspace: where they are written first.
        console: what is told.
        check_stop: called again and again; raises to stop.
    """

    arguments: Arguments
    chosen: Chosen
    separator: "Future[Separator]"
    layout: Layout
    workspace: Workspace
    console: Console
    check_stop: Callable[[], None]

    def separate(self, track: Path) -> dict[str, Any]:
        """Separate one song; its files are in their places then.

        Returns:
            What `--json` says of it.

        Raises:
            Failure: it cannot be separated; nothing is left of it.
            OSError: the disk is full, or a place cannot be written.
        """
        began = time.monotonic()
        check_readable(track)
        stems = self.arguments.outputs(self.chosen.record.stems)
        self.workspace.prepare(self.layout.path(track, stem) for stem in stems)
        timings: dict[str, int] = {}
        with tempfile.TemporaryDirectory(dir=self.workspace.hidden) as name:
            folder = Path(name)
            mixture, decoded = self._decode(track, folder)
            timings["decode"] = _milliseconds(began)
            separator = awaited(self.separator, self.check_stop)
            timings["load"] = _milliseconds(began) - timings["decode"]
            progress = Progress(decoded.source_frames / decoded.source_rate)
            song = self._song(separator, mixture, decoded, folder, progress)
            places = {one.path: self.layout.path(track, one.report.name) for one in song.stems}
            self.check_stop()
            self.workspace.publish(places)
        return {
            "file": str(track),
            "status": "completed",
            "model": self.chosen.record.name,
            "modelDigest": separator.weights.digest,
            "device": separator.device.type,
            "audio": {
                "duration": decoded.source_frames / decoded.source_rate,
                "sampleRate": decoded.source_rate,
                "channels": decoded.source_channels,
            },
            "stems": [
                {
                    "name": one.report.name,
                    "path": str(places[one.path]),
                    "format": self.arguments.format,
                    "sampleRate": song.sample_rate,
                    "duration": one.report.frames / song.sample_rate,
                    "size": one.report.size,
                    "sha256": one.report.sha256,
                    "peak": one.report.peak,
                    "gain": one.report.gain,
                    "silent": one.report.silent,
                }
                for one in song.stems
            ],
            "residual": song.residual_dbfs,
            "timings": {**timings, **progress.timings},
            "processingTimeMs": _milliseconds(began),
        }

    def _decode(self, track: Path, folder: Path) -> tuple[Spool, Decoded]:
        limits = Limits(
            self.chosen.record.sample_rate, MAX_SECONDS, cpu_seconds=round(time_limit(MAX_SECONDS))
        )
        mixture, decoded = decode(track, folder / ".mixture.f32", limits, check_stop=self._check)
        if decoded.damaged_packets:
            self.console.complain(
                f"{track}: {decoded.damaged_packets} damaged packets were left out"
            )
        if decoded.bad_samples:
            self.console.complain(
                f"{track}: {decoded.bad_samples} samples that are no sound were silenced"
            )
        return mixture, decoded

    def _check(self) -> None:
        """Stop where that was asked for, and where there will be no model."""
        self.check_stop()
        if self.separator.done():
            self.separator.result()

    def _song(
        self,
        separator: "Separator",
        mixture: Spool,
        decoded: Decoded,
        folder: Path,
        progress: Progress,
    ) -> "Song":
        from splitjob_worker.engine.separator import Options  # noqa: PLC0415 - loaded by now
        from splitjob_worker.pipeline import Output, separate_song  # noqa: PLC0415

        arguments = self.arguments
        encoding = self.encoding(decoded, separator.sample_rate)
        options = Options(
            shifts=arguments.shifts,
            overlap=arguments.overlap,
            seed=arguments.seed,
            segment=arguments.segment,
        )
        return separate_song(
            separator,
            mixture,
            decoded.normalisation,
            options,
            Output(encoding, folder, Scratch(folder)),
            progress=progress,
            check_stop=self.check_stop,
        )

    def encoding(self, decoded: Decoded, model_rate: int) -> "Encoding":
        """Return how the files are encoded.

        Args:
            decoded: what is known of the song.
            model_rate: Hz.

        Raises:
            Failure: `audio_unsupported`: the format has no such rate, or none with the bit rate.
        """
        from splitjob_worker.stems.encode import Encoding  # noqa: PLC0415

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
            complaint = bitrate_problem(encoding.format, encoding.bitrate_kbps, rate)
            if complaint:
                raise _unsupported(complaint)
        return encoding


def check_readable(track: Path) -> None:
    """See that a file is there to be read; the decoder, locked in, could not say why it is not.

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


def _unsupported(complaint: str) -> Failure:
    return Failure(ErrorCode.AUDIO_UNSUPPORTED, f"{complaint}: leave --rate input out")


def _milliseconds(began: float) -> int:
    return round((time.monotonic() - began) * 1000)
