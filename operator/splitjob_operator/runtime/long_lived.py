"""Spares the garbage collector what stays.

It would go through all of it again and again: with 10,000 SplitJobs that stops everything for a
tenth of a second each time. What is let go of is freed all the same, as soon as nobody refers to
it; only a ring of objects that was kept here and becomes garbage as a whole would stay.
"""

import gc

__all__ = ["LongLived"]

FEW = 1000  # SplitJobs, not worth a collection
GROWN = 1.25


class LongLived:
    """Sets aside what there is, at first and whenever much more has come."""

    def __init__(self) -> None:
        self._kept: int | None = None

    def keep(self, count: int) -> None:
        """Set aside all that is in memory, where that is worth it; garbage is collected before.

        Args:
            count: how many SplitJobs are remembered now.
        """
        if self._kept is not None and count < GROWN * self._kept + FEW:
            return
        self._kept = count
        gc.collect()
        gc.freeze()
