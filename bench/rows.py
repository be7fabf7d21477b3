"""Which parts of a benchmark are measured."""

import os
import sys
from collections.abc import Collection

__all__ = ["wanted_rows"]


def wanted_rows(known: Collection[str]) -> list[str]:
    """Return the rows that `ROWS` in the environment names, all by default.

    Args:
        known: the names of all rows.

    Raises:
        SystemExit: one is not known.
    """
    wanted = os.environ.get("ROWS", ",".join(known)).split(",")
    if unknown := [name for name in wanted if name not in known]:
        sys.exit(f"no rows {unknown[0]!r}; there are: {', '.join(known)}")
    return wanted
