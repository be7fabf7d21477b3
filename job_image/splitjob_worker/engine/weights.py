"""Weights on disk, in Demucs 4.1's own layout: find them, and check their digests.

A folder holds `<name>.yaml` (a bag: `models`, optionally `weights` and `segment`) and one
`<signature>.safetensors` for each model of the bag. A file's content is pinned by the digest in its
registry record, and by `<name>.sha256` beside it, which `track-tree-audio weights fetch` writes (in
the format of `sha256sum`).
"""

import hashlib
import json
import struct
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from splitjob.errors import ErrorCode, Failure
from splitjob.models import ModelRecord, RegistryError, digest_of, load_registry

MAX_HEADER_BYTES = 100 << 20  # what the safetensors format allows


class DownloadError(Exception):
    """A file of weights could not be downloaded; the message says from where, and how it failed."""


@dataclass(frozen=True)
class Weights:
    """A model's weights on disk, checked.

    Attributes:
        record: the model's registry record.
        paths: one file for each model of the bag, in the bag's order.
        bag_weights: share of each model (rows) in each stem; None: equal shares.
        segment: seconds that replace the models' own segment; None: their own.
        digest: `sha256:` and the digest over all files (`splitjob.models.digest_of`).
    """

    record: ModelRecord
    paths: tuple[Path, ...]
    bag_weights: list[list[float]] | None
    segment: float | None
    digest: str


def registry(path: Path | None) -> dict[str, ModelRecord]:
    """Return the registry's models by name.

    Args:
        path: a registry file; None: the built-in one.

    Raises:
        Failure: `worker_config`: it cannot be read.
    """
    try:
        return load_registry(path)
    except RegistryError as error:
        raise Failure(ErrorCode.WORKER_CONFIG, str(error)) from None


def embedded_folder() -> Path:
    """Return the folder of the weights that are part of this package."""
    return Path(str(files("splitjob_worker"))) / "weights"


def find(record: ModelRecord, model_dir: Path | None) -> Weights:
    """Find a model's weights and check every known digest of them.

    Args:
        record: the model's registry record.
        model_dir: a folder of weights, which takes precedence over the embedded ones.

    Raises:
        Failure: `model_unavailable`: a file is missing or damaged, or has another digest.
    """
    folder = _folder(record, model_dir)
    bag = read_bag(folder / f"{record.name}.yaml")
    expected = {file.name: file.sha256 for file in record.files}
    pins = read_pins(folder / f"{record.name}.sha256")
    paths = tuple(folder / f"{signature}.safetensors" for signature in bag["models"])
    if {path.name for path in paths} != set(expected):
        raise _unavailable(
            f"{folder / record.name}.yaml names other files than the registry does for "
            f"{record.name}: {', '.join(sorted(expected))}"
        )
    digests = {path.name: sha256(path) for path in paths}
    for name, found in digests.items():
        for wanted in (expected[name], pins.get(name)):
            if wanted is not None and wanted != found:
                raise _unavailable(
                    f"{folder / name} has SHA-256 {found}, but {wanted} is expected: the file is "
                    "damaged or another one"
                )
    return Weights(record, paths, bag.get("weights"), bag.get("segment"), digest_of(digests))


def sha256(path: Path) -> str:
    """Return the hex digest of a file.

    Raises:
        Failure: `model_unavailable`: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _unavailable(f"cannot read {path}: {error.strerror}") from None


def read_pins(path: Path) -> dict[str, str]:
    """Return the digest of each file name, as `sha256sum` writes them; empty without a file.

    Raises:
        Failure: `model_unavailable`: it is not of this kind.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        pairs = [line.split(maxsplit=1) for line in lines if line.strip()]
        return {name.lstrip("*"): digest for digest, name in pairs}
    except OSError:
        return {}
    except ValueError:
        raise _unavailable(
            f"{path} is not a list of digests as sha256sum writes it: delete it, or fetch the "
            "model again"
        ) from None


def read_header(path: Path) -> dict[str, Any]:
    """Return the metadata of a safetensors file, with its JSON values decoded.

    Returns:
        `klass`, and `args` and `kwargs` as Demucs stores them.

    Raises:
        Failure: `model_unavailable`: this is no safetensors file of a Demucs model.
    """
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            metadata = json.loads(file.read(min(length, MAX_HEADER_BYTES)))["__metadata__"]
        return {
            "klass": metadata["klass"],
            "args": json.loads(metadata["args"]),
            "kwargs": json.loads(metadata["kwargs"]),
            "quantized": "structure" in metadata,
        }
    except (OSError, ValueError, KeyError, TypeError, struct.error):
        raise _unavailable(
            f"{path} is not a Demucs model in safetensors format (as Demucs 4.1 exports it)"
        ) from None


def _folder(record: ModelRecord, model_dir: Path | None) -> Path:
    name = f"{record.name}.yaml"
    if model_dir is not None and (model_dir / name).is_file():
        return model_dir
    if record.embedded:
        return embedded_folder()
    where = f"in {model_dir}" if model_dir else "anywhere: MODEL_DIR is not set"
    needed = ", ".join([name, *(file.name for file in record.files)])
    raise _unavailable(
        f"the weights of {record.name} are not {where}. Needed there: {needed} "
        f"(`track-tree-audio weights fetch {record.name}` gets them)"
    )


def read_bag(path: Path) -> dict[str, Any]:
    """Return the content of `<name>.yaml`: `models`, optionally `weights` and `segment`.

    Raises:
        Failure: `model_unavailable`: there is no such file, or it is not of this kind.
    """
    try:
        bag = yaml.safe_load(path.read_text(encoding="utf-8"))
        if [str(one) for one in bag["models"]]:
            return dict(bag)
    except OSError as error:
        raise _unavailable(f"cannot read {path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError, ValueError):
        pass
    raise _unavailable(f"{path} is not a bag of models in Demucs' layout")


def _unavailable(message: str) -> Failure:
    return Failure(ErrorCode.MODEL_UNAVAILABLE, message)
