"""Write the trained model where the worker's package ships it: `python -m training.export`.

The layout is that of Demucs 4.1 (`tools/export_hf.py` there): a yaml that names the model, and a
safetensors file with the weights in half precision; its metadata have the class, its arguments and
the cost of the training. The digest goes into the model registry.
"""

import argparse
import hashlib
import json
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import yaml
from demucs.apply import Model
from demucs.hf import load_safetensors_model
from demucs.htdemucs import HTDemucs
from safetensors import safe_open
from safetensors.torch import save_file

from splitjob.models import dump_registry, load_registry
from training.checkpoint import cache_folder, load_checkpoint
from training.model import ARGUMENTS

_ROOT = Path(__file__).parent.parent
WEIGHTS = _ROOT / "job_image" / "splitjob_worker" / "weights"
REGISTRY = _ROOT / "common" / "splitjob" / "models.yaml"
NAME = "demo"


@dataclass(frozen=True)
class TrainingCost:
    """The cost of training over all runs: steps of every process, and seconds."""

    steps: int
    seconds: float


def _encode(value: Any) -> Any:  # noqa: ANN401 - any JSON value or Fraction
    """Encode fractions as Demucs does in its metadata."""
    if isinstance(value, Fraction):
        return {
            "_type": "fraction",
            "numerator": value.numerator,
            "denominator": value.denominator,
        }
    return value


def export_model(state: dict[str, Any], cost: TrainingCost, folder: Path) -> Path:
    """Write weights as `demo.yaml` and `demo.safetensors`.

    Args:
        state: the state dictionary of the model.
        cost: of its training.
        folder: where to write; made if missing.

    Returns:
        The safetensors file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    metadata = {
        "klass": f"{HTDemucs.__module__}.{HTDemucs.__name__}",
        "args": json.dumps([]),
        "kwargs": json.dumps({key: _encode(value) for key, value in ARGUMENTS.items()}),
        "steps": str(cost.steps),
        "seconds": f"{cost.seconds:.0f}",
    }
    path = folder / f"{NAME}.safetensors"
    half = {name: value.half().contiguous() for name, value in state.items()}
    save_file(half, path, metadata)
    path.chmod(0o644)  # safetensors writes mode 0600, which a wheel would keep
    (folder / f"{NAME}.yaml").write_text(yaml.safe_dump({"models": [NAME]}))
    return path


def load_exported(folder: Path) -> Model:
    """Load an exported model with Demucs' own loader, ready to separate."""
    return load_safetensors_model(folder / f"{NAME}.safetensors").eval()


def load_cost(folder: Path) -> TrainingCost:
    """The training cost of the exported weights."""
    with safe_open(folder / f"{NAME}.safetensors", framework="pt") as file:
        metadata = file.metadata()
    return TrainingCost(int(metadata["steps"]), float(metadata["seconds"]))


def pin_digest(weights: Path, registry: Path) -> str:
    """Write the SHA-256 of the weights into the registry, and return it."""
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    records = load_registry(registry)
    file = records[NAME].files[0].model_copy(update={"sha256": digest})
    records[NAME] = records[NAME].model_copy(update={"files": (file,)})
    registry.write_text(dump_registry(records))
    return digest


def main() -> None:
    """Export the averaged weights of the last checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=cache_folder())
    folder = parser.parse_args().folder
    state = load_checkpoint(folder)
    if state is None:
        raise SystemExit(f"no checkpoint in {folder}: train first")
    path = export_model(state["average"], TrainingCost(state["step"], state["seconds"]), WEIGHTS)
    digest = pin_digest(path, REGISTRY)
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB, sha256 {digest}, step {state['step']}")


if __name__ == "__main__":
    main()
