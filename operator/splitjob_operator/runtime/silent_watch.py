"""Notices a watch that has gone silent: changes that a listing saw and the watch did not bring."""

from collections.abc import Callable

__all__ = ["SilentWatchGuard"]

Key = tuple[str, str]


class SilentWatchGuard:
    """Compares what the resync lists with what the watches brought.

    Args:
        patience: seconds a watch may lag behind a listing.
        monotonic: the clock, in seconds.
    """

    def __init__(self, patience: float, monotonic: Callable[[], float]) -> None:
        self._patience = patience
        self._monotonic = monotonic
        self._watched: dict[Key, str] = {}
        self._missed: dict[Key, tuple[str, float]] = {}

    def saw_event(self, kind: str, name: str, resource_version: str) -> None:
        """Note an event of a watch: any event of an object proves that its watch works."""
        key = (kind, name)
        self._watched[key] = resource_version
        self._missed.pop(key, None)

    def listed(self, kind: str, versions: dict[str, str]) -> None:
        """Take in a full listing of a kind: resource versions by name."""
        now = self._monotonic()
        for name, version in versions.items():
            key = (kind, name)
            if self._watched.get(key) == version:
                self._missed.pop(key, None)
            elif key not in self._missed:
                self._missed[key] = (version, now)
        for known in (self._watched, self._missed):
            for key in [k for k in known if k[0] == kind and k[1] not in versions]:
                del known[key]

    def reset(self) -> None:
        """Forget what was missed: the API server was away, the watches will come back with it."""
        self._missed.clear()

    def silent(self) -> Key | None:
        """Return an object whose change the watch has missed for too long, or None."""
        now = self._monotonic()
        for key, (_, since) in self._missed.items():
            if now - since > self._patience:
                return key
        return None
