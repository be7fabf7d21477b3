"""Checkpoints of a training run, in the cache outside the checkout."""

from pathlib import Path
from typing import Any

import torch

from splitjob_local.paths import cache_root

_NAME = "checkpoint.pt"


def cache_folder() -> Path:
    """Where songs and checkpoints lie unless told otherwise."""
    return cache_root() / "demo-model"


def save_checkpoint(folder: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint atomically."""
    unfinished = folder / f"{_NAME}.part"
    torch.save(state, unfinished)
    unfinished.replace(folder / _NAME)


def load_checkpoint(folder: Path) -> dict[str, Any] | None:
    """Read the checkpoint, or return None if there is none yet."""
    path = folder / _NAME
    if not path.exists():
        return None
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state
