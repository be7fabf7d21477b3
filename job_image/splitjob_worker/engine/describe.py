"""Weights in Demucs' layout, described as a record of the registry of models."""

from fractions import Fraction
from pathlib import Path
from typing import cast, get_args

from splitjob.errors import ErrorCode, Failure
from splitjob.models import Architecture, ModelFile, ModelRecord
from splitjob_worker.engine import weights

# Seconds, of the constructors of Demucs 4.1.0.
DEFAULT_SEGMENTS = {"HTDemucs": 10, "HDemucs": 40, "Demucs": 40}
DEFAULT_RATE = 44100  # Hz
ARCHITECTURES = get_args(Architecture)
# What reading the arguments of a model's class raises where they are not those of a model.
_READING_ERRORS = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError)


def describe(
    name: str, folder: Path, license_note: str, *, embedded: bool = False, pinned: bool = True
) -> ModelRecord:
    """Return the record of the weights in a folder.

    Args:
        name: of the model; `<name>.yaml` must be in the folder.
        folder: the weights, in Demucs' layout.
        license_note: what is known about the right to use them.
        embedded: whether they are part of the worker's package.
        pinned: whether to record the digests of the files, which takes reading them.

    Raises:
        Failure: `model_unavailable`: they are not there, not such weights, or of a class that is
            not run.
    """
    try:
        return _record(name, folder, license_note, embedded=embedded, pinned=pinned)
    except _READING_ERRORS as error:
        raise Failure(
            ErrorCode.MODEL_UNAVAILABLE,
            f"{name}.yaml in {folder} and its files do not describe a model of Demucs "
            f"({type(error).__name__})",
        ) from None


def _record(
    name: str, folder: Path, license_note: str, *, embedded: bool, pinned: bool
) -> ModelRecord:
    bag = weights.read_bag(folder / f"{name}.yaml")
    paths = [folder / f"{signature}.safetensors" for signature in bag["models"]]
    header = weights.read_header(paths[0])
    architecture = str(header["klass"]).rsplit(".", 1)[-1]
    arguments = header["kwargs"]
    sources = arguments.get("sources") or header["args"][0]
    segment = bag.get("segment") or arguments.get("segment", DEFAULT_SEGMENTS.get(architecture))
    if architecture not in ARCHITECTURES:
        raise Failure(
            ErrorCode.MODEL_UNAVAILABLE,
            f"{paths[0]} holds a model of class {architecture}, which is not run",
        )
    return ModelRecord(
        name=name,
        architecture=cast("Architecture", architecture),
        stems=tuple(sources),
        sample_rate=int(arguments.get("samplerate", DEFAULT_RATE)),
        segment=str(_fraction(segment)),
        license_note=license_note,
        files=tuple(
            ModelFile(name=path.name, sha256=weights.sha256(path) if pinned else None)
            for path in paths
        ),
        embedded=embedded,
    )


def _fraction(value: dict[str, int] | float | str) -> Fraction:
    if isinstance(value, dict):
        return Fraction(value["numerator"], value["denominator"])
    return Fraction(value).limit_denominator(1000)
