"""Checkpoints of a training run, in the cache outside the checkout."""

import os
from pathlib import Path
from typing import Any

import torch

_NAME = "checkpoint.pt"


def cache_folder() -> Path:
    """Where songs and checkpoints lie unless told otherwise; XDG_CACHE_HOME is honoured."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "track-tree-audio" / "demo-model"


def save_checkpoint(folder: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint so that there is always a whole one."""
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
