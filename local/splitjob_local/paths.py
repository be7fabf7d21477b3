"""Where the checkout and the cache of this project are."""

import os
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
TOOLS = REPOSITORY / "local" / "tools"
"""The Go modules that pin the programs of a local cluster."""


def cache_root() -> Path:
    """Return the folder of this project's caches, by the XDG base directory specification."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "track-tree-audio"
