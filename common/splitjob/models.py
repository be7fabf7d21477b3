"""The models an installation offers: one record each, shared by API, operator and worker.

A registry is a YAML file, `models.yaml` beside this module unless an installation brings its own.
Records say what a caller may ask for and what the worker must find on its disk; the weights
themselves stand in Demucs 4.1's layout (`<name>.yaml` and one `<signature>.safetensors` a model).
"""

import hashlib
from collections.abc import Mapping
from fractions import Fraction
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from splitjob.spec import MODEL_PATTERN, StemName

__all__ = [
    "ModelFile",
    "ModelRecord",
    "RegistryError",
    "dump_registry",
    "load_registry",
    "offered",
]

Architecture = Literal["HTDemucs", "HDemucs", "Demucs"]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

HEADER = """\
# The models this service knows. Written by `track-tree-audio weights add`, read by
# splitjob.models. A file without sha256 has no digest that could be known when this was written:
# `track-tree-audio weights fetch` pins it beside the weights at the time they are fetched.
"""


class RegistryError(Exception):
    """A registry cannot be read, or does not say what it must; the message names the place."""


class Record(BaseModel):
    """Part of a registry; unknown fields are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelFile(Record):
    """One file of weights.

    Attributes:
        name: of the file, `<signature>.safetensors`.
        sha256: hex digest of the whole file; None where it cannot be known here.
        origin: where Meta published the same weights as a pickle, below Demucs' root URL; the
            eight hex digits in its name begin that file's SHA-256.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}\.safetensors$")
    sha256: Sha256 | None = None
    origin: str | None = Field(
        default=None, pattern=r"^[a-z_]+/[0-9a-f]{8}-[0-9a-f]{8}\.th$", max_length=128
    )

    @property
    def signature(self) -> str:
        """What Demucs calls the model in this file."""
        return self.name.removesuffix(".safetensors")


class ModelRecord(Record):
    """One model, or a bag of models under one name.

    Attributes:
        name: what a request's `aiModel` says.
        architecture: the class of Demucs.
        stems: in the model's own order.
        sample_rate: Hz.
        segment: seconds of audio in one forward pass, an exact fraction such as `39/5`.
        license_note: what is known of the right to use the weights; shown by `GET /models`.
        files: the weights.
        memory_bytes: host memory of a worker that runs it on a CPU, measured; None: not measured.
        embedded: whether the weights are part of the worker's package.
    """

    name: str = Field(pattern=MODEL_PATTERN)
    architecture: Architecture
    stems: tuple[StemName, ...] = Field(min_length=1, max_length=16)
    sample_rate: int = Field(ge=1000, le=384_000)
    segment: str
    license_note: str = Field(min_length=1, max_length=1024)
    files: tuple[ModelFile, ...] = Field(min_length=1, max_length=16)
    memory_bytes: int | None = Field(default=None, ge=0)
    embedded: bool = False

    @field_validator("segment")
    @classmethod
    def _positive_fraction(cls, text: str) -> str:
        try:
            positive = Fraction(text) > 0
        except (ValueError, ZeroDivisionError):
            positive = False
        if not positive:
            raise ValueError(f"segment must be a positive number or fraction, not {text!r}")
        return text

    @property
    def segment_seconds(self) -> float:
        """How long the audio of one forward pass is."""
        return float(Fraction(self.segment))

    @property
    def digest(self) -> str | None:
        """`sha256:` and the digest of all weights (`digest_of`), or None where one is unknown."""
        known = {file.name: file.sha256 for file in self.files if file.sha256}
        return digest_of(known) if len(known) == len(self.files) else None


def digest_of(sha256_of_files: Mapping[str, str]) -> str:
    """Return one digest for a model's files.

    Args:
        sha256_of_files: file name to hex digest.

    Returns:
        `sha256:` and, for one file, its own digest; for several, the digest of the lines that
        `sha256sum` prints for them, sorted by name.
    """
    if len(sha256_of_files) == 1:
        return f"sha256:{next(iter(sha256_of_files.values()))}"
    lines = "".join(f"{value}  {name}\n" for name, value in sorted(sha256_of_files.items()))
    return f"sha256:{hashlib.sha256(lines.encode()).hexdigest()}"


def load_registry(path: Path | None = None) -> dict[str, ModelRecord]:
    """Read a registry.

    Args:
        path: a registry file; None: the one shipped with this package.

    Returns:
        The records by name, in the file's order.

    Raises:
        RegistryError: the file cannot be read, or a record in it is wrong.
    """
    where = str(path) if path else "the built-in registry"
    try:
        text = (path or files("splitjob").joinpath("models.yaml")).read_text(encoding="utf-8")
        content = yaml.safe_load(text)
    except OSError as error:
        raise RegistryError(f"cannot read the model registry {where}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RegistryError(f"{where} is not YAML: {error}") from None
    entries = content.get("models") if isinstance(content, dict) else None
    if not isinstance(entries, list) or not entries:
        raise RegistryError(f"{where} has no list called `models`")
    records: dict[str, ModelRecord] = {}
    for index, entry in enumerate(entries):
        record = _record(entry, f"{where}, models[{index}]")
        if record.name in records:
            raise RegistryError(f"{where} describes {record.name} twice")
        records[record.name] = record
    return records


def offered(registry: Mapping[str, ModelRecord], names: str) -> dict[str, ModelRecord]:
    """Return the models that an installation offers.

    Args:
        registry: those it knows, by name.
        names: its setting MODELS: names, separated by commas; blank: all.

    Raises:
        RegistryError: a name is not in the registry.
    """
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    unknown = [name for name in wanted if name not in registry]
    if unknown:
        raise RegistryError(
            f"MODELS: {', '.join(unknown)}: not in the registry, which has: {', '.join(registry)}"
        )
    return {name: registry[name] for name in wanted or registry}


def dump_registry(records: Mapping[str, ModelRecord]) -> str:
    """Return the text of a registry file with these records."""
    entries = [record.model_dump(mode="json", exclude_defaults=True) for record in records.values()]
    text: str = yaml.safe_dump({"models": entries}, sort_keys=False, allow_unicode=True, width=96)
    return HEADER + text


def _record(entry: object, where: str) -> ModelRecord:
    try:
        return ModelRecord.model_validate(entry)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise RegistryError(f"{where}: {field or 'record'}: {first['msg']}") from None
