"""Calls whose modules take long to import: what the worker loads when.

A job starts its download within a fraction of a second because nothing heavy is imported before it.
This is the only module that imports late, and these are the moments:

| when                                     | call             | imports                        |
|------------------------------------------|------------------|--------------------------------|
| at once, in a thread beside the download | `load_separator` | torch and Demucs: seconds      |
| beside both, in the main thread          | `open_target`    | boto3                          |
| the source is in the bucket, not at a URL | `download_stored` | boto3                       |
| the source is there                      | `decode`         | numpy                          |
| a long song is to be separated           | `open_checkpoints` | nothing: loaded before       |
| model and mixture are there              | `separate_song`  | nothing: loaded with the model |

The commands call the same functions, and two more that need torch: `export_th`, `download_weights`.
The formats that need FFmpeg's library load it when the first file is opened (`stems.writers`); the
decoder's process loads it when it is confined (`source.decoder_process`).
"""

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from splitjob.models import ModelRecord
from splitjob_worker.cancellation import CancelToken, run_in_thread
from splitjob_worker.engine.options import Options, Precision, Remainder
from splitjob_worker.engine.weights import Weights
from splitjob_worker.machine import garbage_collection_paused
from splitjob_worker.scratch import Scratch
from splitjob_worker.source.audio import AudioLimits, Decoded
from splitjob_worker.stems.output import StemOutput

if TYPE_CHECKING:
    from splitjob_worker.checkpoints.checkpoints import Checkpoints
    from splitjob_worker.checkpoints.keeper import Keeper
    from splitjob_worker.engine.separator import Separator
    from splitjob_worker.normalisation import Normalisation
    from splitjob_worker.pipeline import SeparatedSong, StageTimer
    from splitjob_worker.settings import WorkerSettings
    from splitjob_worker.spool import Spool
    from splitjob_worker.upload.targets import UploadTarget


@garbage_collection_paused()
def load_separator(
    find_weights: Callable[[], Weights],
    device: str,
    stems: Sequence[str] | None,
    precision: Precision,
    remainder: Remainder | None,
) -> "Separator":
    """Load a model (`engine.separator.Separator`) while its weights are read and checked."""
    weights = run_in_thread(find_weights)
    from splitjob_worker.engine.separator import Separator

    importlib.import_module("splitjob_worker.pipeline")  # needed next: it must not wait then
    return Separator(weights.result(), device, stems, precision, remainder)


def open_target(settings: "WorkerSettings", prefix: str, cancel: CancelToken) -> "UploadTarget":
    """Return where the stems go (`upload.targets.open_target`)."""
    from splitjob_worker.upload import targets

    return targets.open_target(settings, prefix, cancel)


def download_stored(
    settings: "WorkerSettings",
    url: str,
    target: Path,
    scratch: Scratch,
    cancel: CancelToken,
    on_progress: Callable[[float], None],
) -> None:
    """Download a file from the bucket (`source.stored.StoredDownload`)."""
    from splitjob_worker.source.stored import StoredDownload
    from splitjob_worker.upload.targets import open_storage

    StoredDownload(
        open_storage(),
        settings.storage_prefix,
        url,
        target,
        settings.max_source_bytes,
        scratch,
        cancel,
        on_progress,
    ).run()


def decode(
    source: Path, spool: Path, limits: AudioLimits, check_cancelled: Callable[[], None]
) -> "tuple[Spool, Decoded]":
    """Decode a file (`source.decode.decode`)."""
    from splitjob_worker.source.decode import decode

    return decode(source, spool, limits, check_cancelled=check_cancelled)


def open_checkpoints(
    settings: "WorkerSettings",
    prefix: str,
    fingerprint: str,
    scratch: Scratch,
    cancel: CancelToken,
) -> "Checkpoints | None":
    """Return the checkpoints of a song (`checkpoints.checkpoints.open_checkpoints`)."""
    from splitjob_worker.checkpoints.checkpoints import open_checkpoints
    from splitjob_worker.upload.targets import open_storage

    return open_checkpoints(open_storage(), settings, prefix, fingerprint, scratch, cancel)


def separate_song(
    separator: "Separator",
    mixture: "Spool",
    normalisation: "Normalisation",
    options: Options,
    output: StemOutput,
    progress: "StageTimer",
    check_cancelled: Callable[[], None],
    keeper: "Keeper | None" = None,
) -> "SeparatedSong":
    """Separate a song into files (`pipeline.separate_song`)."""
    from splitjob_worker import pipeline

    return pipeline.separate_song(
        separator,
        mixture,
        normalisation,
        options,
        output,
        progress=progress,
        check_cancelled=check_cancelled,
        keeper=keeper,
    )


def export_th(weights: Weights, folder: Path) -> list[Path]:
    """Write weights for the `demucs` command (`engine.export.export_th`)."""
    from splitjob_worker.engine.export import export_th

    return export_th(weights, folder)


def download_weights(record: ModelRecord, name: str) -> Path:
    """Download one file of a model (`engine.hub.download`)."""
    from splitjob_worker.engine.hub import download

    return download(record, name)
