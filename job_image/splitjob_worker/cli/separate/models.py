"""The model asked for: from the registry, or from the user's own folder (`--repo`)."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from splitjob.errors import ErrorCode, Failure
from splitjob.models import ModelRecord
from splitjob.result import RESIDUAL
from splitjob.spec import MODEL_PATTERN
from splitjob.workload import ENV_MODEL_DIR, ENV_MODEL_REGISTRY
from splitjob_worker.cli.separate.parser import PROGRAM
from splitjob_worker.engine import weights
from splitjob_worker.engine.describe import describe

_OWN = "Weights from a folder of the user's; nothing is known of the right to use them."


@dataclass(frozen=True)
class ModelChoice:
    """A model, and the folder that its weights are in.

    Attributes:
        record: the registry's, or one made from the files.
        folder: of the weights; None: the package's own.
    """

    record: ModelRecord
    folder: Path | None

    def check(
        self, stem: str | None, segment: float | None, residual_to: str | None = None
    ) -> None:
        """Refuse what the model cannot do, in Demucs' words.

        Args:
            stem: the only one wanted; None: all.
            segment: seconds of a segment; None: the model's own.
            residual_to: the stem that takes what is left over; None: the default.

        Raises:
            Failure: `request_invalid`.
        """
        if stem is not None and stem not in self.record.stems:
            raise _refused(
                f'stem "{stem}" is not in selected model. STEM must be one of '
                f"{', '.join(self.record.stems)}."
            )
        if residual_to not in {None, RESIDUAL, *self.record.stems}:
            raise _refused(
                f'stem "{residual_to}" is not in selected model. --residual-to takes one of '
                f"{', '.join(self.record.stems)}, or {RESIDUAL}."
            )
        longest = self.record.segment_seconds
        if segment is not None and self.record.architecture == "HTDemucs" and segment > longest:
            raise _refused(
                "Cannot use a Transformer model with a longer segment than it was trained for. "
                f"Maximum segment is: {longest}"
            )


def choose(name: str, repo: Path | None) -> ModelChoice:
    """Return the model of a name. Its weights are on disk, but not checked yet.

    Args:
        name: as given with -n.
        repo: as given with --repo.

    Raises:
        Failure: `model_unavailable`: there is no such model, or its weights are not here; the
            message says what to do. `worker_config`: the registry cannot be read.
    """
    if name.startswith("hf://"):
        raise _unavailable(
            f"{name} names a model on the Hugging Face hub, and nothing is downloaded while "
            "separating: put NAME.yaml and its .safetensors files into a folder, and say "
            "--repo FOLDER -n NAME"
        )
    return _from_registry(name) if repo is None else _from_folder(name, repo)


def listing(repo: Path | None) -> str:
    """Return what `--list-models` prints: each model with its stems, or why it cannot be used.

    Raises:
        Failure: the registry, or the folder, cannot be read.
    """
    names = list(_registry()) if repo is None else _names_in(_folder(repo))
    lines = []
    for name in names:
        try:
            lines.append(f"{name:<14} {', '.join(choose(name, repo).record.stems)}")
        except Failure as failure:
            lines.append(f"{name:<14} {failure.message.splitlines()[0]}")
    return "\n".join(lines)


def _from_registry(name: str) -> ModelChoice:
    registry = _registry()
    if name not in registry:
        raise _unavailable(
            f"there is no model called {name}; known are {', '.join(registry)} (and what is in a "
            "folder of yours, with --repo DIR)"
        )
    record = registry[name]
    given = os.environ.get(ENV_MODEL_DIR)
    folder = Path(given) if given else None
    needed = [f"{name}.yaml", *(file.name for file in record.files)]
    there = folder is not None and all((folder / one).is_file() for one in needed)
    if not there and not record.embedded:
        raise _unavailable(_how_to_get(name, needed, folder))
    return ModelChoice(record, folder)


def _how_to_get(name: str, needed: list[str], folder: Path | None) -> str:
    where = f"in {folder} ({ENV_MODEL_DIR})" if folder else f"here: {ENV_MODEL_DIR} is not set"
    target = folder or Path("models")
    return (
        f"the weights of {name} are not {where}\n"
        f"  get them once:  track-tree-audio weights fetch {name} --to {target}\n"
        f"  then:           {ENV_MODEL_DIR}={target} {PROGRAM} -n {name} ...\n"
        f"  needed there:   {', '.join(needed)}\n"
        f"  or take the small model that is part of this program:  {PROGRAM} -n demo ..."
    )


def _from_folder(name: str, repo: Path) -> ModelChoice:
    folder = _folder(repo)
    bag = folder / f"{name}.yaml"
    if not re.match(MODEL_PATTERN, name) or not bag.is_file():
        _refuse_pickle(folder, name)
        there = ", ".join(_names_in(folder)) or "none at all"
        raise _unavailable(
            f"{folder} holds no model called {name}, that is no {name}.yaml; it holds {there}"
        )
    for signature in map(str, weights.read_bag(bag)["models"]):
        if not (folder / f"{signature}.safetensors").is_file():
            _refuse_pickle(folder, signature)
            raise _unavailable(f"{bag} names {signature}.safetensors, which is not in {folder}")
    return ModelChoice(describe(name, folder, _OWN, pinned=False), folder)


def _refuse_pickle(folder: Path, signature: str) -> None:
    """Refuse a pickle, which Demucs would load, and say what to do.

    Raises:
        Failure: `model_unavailable`: there is one.
    """
    for path in sorted(folder.glob("*.th")):
        if path.stem == signature or path.stem.startswith(f"{signature}-"):
            raise _unavailable(
                f"{path} is a pickle, which can run any program when it is loaded, so it is not: "
                "convert it once, where you trust it, to a .safetensors file of the same "
                "signature, as tools/export_hf.py of Demucs' repository does; a model that Demucs "
                "publishes comes in that form with `track-tree-audio weights fetch NAME --to DIR`"
            )


def _names_in(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.yaml"))


def _folder(repo: Path) -> Path:
    if not repo.is_dir():
        raise _unavailable(f"{repo} must exist and be a directory (--repo)")
    return repo


def _registry() -> dict[str, ModelRecord]:
    path = os.environ.get(ENV_MODEL_REGISTRY)
    return weights.registry(Path(path) if path else None)


def _unavailable(message: str) -> Failure:
    return Failure(ErrorCode.MODEL_UNAVAILABLE, message)


def _refused(message: str) -> Failure:
    return Failure(ErrorCode.REQUEST_INVALID, message)
