"""Notices a watch that has gone silent: a listing saw changes, and the watch brings nothing.

What a watch has brought is counted as it arrives, not once it was dealt with: after ten thousand
changes at once that takes minutes, and is a backlog of ours, no silence.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["SilentWatchGuard"]


class _Change(NamedTuple):
    """A change that a listing saw and the watch has not brought yet."""

    name: str
    version: int
    listed_at: float


@dataclass
class _Watch:
    """The watch of one kind.

    Attributes:
        version: how far it is: the newest resource version that it has brought.
        heard_at: when it last brought anything.
        missed: the first change that it has yet to bring.
    """

    version: int = 0
    heard_at: float = float("-inf")
    missed: _Change | None = None


class SilentWatchGuard:
    """Compares what the resync lists with how far the watches are.

    Args:
        patience: seconds for which a watch may bring nothing although there is something to bring.
        monotonic: the clock, in seconds.
    """

    def __init__(self, patience: float, monotonic: Callable[[], float]) -> None:
        self._patience = patience
        self._monotonic = monotonic
        self._watches: dict[str, _Watch] = {}

    def heard(self, kind: str, resource_version: str) -> None:
        """Note that the watch of a kind has brought something, a bookmark perhaps."""
        watch = self._watch(kind)
        watch.heard_at = self._monotonic()
        watch.version = max(watch.version, _number(resource_version))
        if watch.missed and watch.missed.version <= watch.version:
            watch.missed = None

    def listed(self, kind: str, versions: Mapping[str, str]) -> None:
        """Take in a full listing of a kind: resource versions by name."""
        watch = self._watch(kind)
        before = watch.missed
        if before and before.name in versions:
            return
        since = before.listed_at if before else self._monotonic()
        changes = (_Change(name, _number(version), since) for name, version in versions.items())
        newest = max(changes, key=lambda change: change.version, default=None)
        watch.missed = newest if newest and newest.version > watch.version else None

    def reset(self) -> None:
        """Forget what was missed: the API server was away, the watches will come back with it."""
        for watch in self._watches.values():
            watch.missed = None

    def silent(self) -> tuple[str, str] | None:
        """Return kind and name of a change that a silent watch has kept for too long, or None."""
        before = self._monotonic() - self._patience
        for kind, watch in self._watches.items():
            if watch.missed and max(watch.missed.listed_at, watch.heard_at) < before:
                return kind, watch.missed.name
        return None

    def _watch(self, kind: str) -> _Watch:
        return self._watches.setdefault(kind, _Watch())


def _number(resource_version: str) -> int:
    """Return a resource version as a number: those of one kind can be compared."""
    return int(resource_version) if resource_version.isdecimal() else 0
