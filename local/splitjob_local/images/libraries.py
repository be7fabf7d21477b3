"""`python -m splitjob_local.images.libraries /opt/venv`: does each library find those it needs?

The end of the worker's build runs it, in the image itself: what was left out of it was not linked
against by anything that is still there.
"""

import sys
from pathlib import Path

from splitjob_local.images.recipe import unresolved

__all__ = ["missing"]

# PyTorch's wheel brings it without libquadmath, and links nothing against it.
UNUSED = {"torch/lib/libgfortran.so.5"}


def missing(environment: Path) -> dict[str, list[str]]:
    """Return the libraries of an environment that need one which is not there, with its name."""
    found: dict[str, list[str]] = {}
    for site in environment.glob("lib/python3.*/site-packages"):
        found |= unresolved(site)
    return {path: names for path, names in found.items() if path not in UNUSED}


def main(environment: str) -> int:
    """Print what is missing; 1: something is."""
    found = missing(Path(environment))
    for path, names in found.items():
        print(f"{path} needs {', '.join(names)}: see NEVER_LOADED in recipe.py", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
