"""Where the checkout and the cache of this project lie."""

import os
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
TOOLS = REPOSITORY / "local" / "tools"
"""The Go modules that pin the programs of a local cluster."""


def cache_root() -> Path:
    """Return the folder under which this project caches, as the XDG base directory rules say."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "track-tree-audio"
