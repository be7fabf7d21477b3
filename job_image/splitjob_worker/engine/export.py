"""Writes weights for the `demucs` command, whose own files are pickles; none is ever read."""

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file

from splitjob_worker.engine.loading import read_blueprint
from splitjob_worker.engine.weights import Weights


def export_th(found: Weights, folder: Path) -> list[Path]:
    """Write a bag of models so that `demucs --repo FOLDER -n NAME` runs on the very same weights.

    The layout is that of `demucs.repo.LocalRepo`: `<name>.yaml`, and for each model
    `<signature>-<first 8 hex digits of the file's SHA-256>.th`, the package that
    `demucs.states.load_model` expects. An earlier export of the same model is replaced.

    Args:
        found: the weights.
        folder: is created if it does not exist.

    Returns:
        The files, the yaml last.

    Raises:
        Failure: `model_unavailable`: a file is not what the registry says it is.
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = [_export(path, found.record.architecture, folder) for path in found.paths]
    bag = folder / f"{found.record.name}.yaml"
    shutil.copyfile(found.paths[0].with_name(bag.name), bag)
    return [*files, bag]


def _export(path: Path, architecture: str, folder: Path) -> Path:
    blueprint = read_blueprint(path, architecture, segment=None)
    package = {
        "klass": blueprint.klass,
        "args": (),
        "kwargs": blueprint.arguments,
        "state": load_file(path),
        "training_args": {},
    }
    handle, unfinished = tempfile.mkstemp(dir=folder, suffix=".part")
    try:
        with os.fdopen(handle, "w+b") as file:
            torch.save(package, file)
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        for former in folder.glob(f"{path.stem}-*.th"):
            if former.stem.rpartition("-")[0] == path.stem:  # Demucs refuses two of a signature
                former.unlink()
        Path(unfinished).chmod(0o644)  # mkstemp makes it readable for one user only
        return Path(unfinished).rename(folder / f"{path.stem}-{digest[:8]}.th")
    except BaseException:
        Path(unfinished).unlink(missing_ok=True)
        raise
