"""What has been told of jobs already: nothing older is told of them afterwards.

The API server is ahead of the watch. A caller who was answered from there, or whose own change was
written there, must not be told the state before from memory.
"""

from typing import NamedTuple

REMEMBERED = 4096  # jobs; the watch gets to each within moments


class Floor(NamedTuple):
    """The least that may be told of a job.

    Attributes:
        version: its resourceVersion.
        at: when it was read, Unix time; 0: it was not.
    """

    version: int
    at: float


class Floors:
    """The floor of each job that was lately told or changed; of one thread at a time."""

    def __init__(self) -> None:
        self._by_name: dict[str, Floor] = {}  # the latest last

    def raise_to(self, name: str, version: int, at: float = 0.0) -> None:
        """Raise the floor of a job; one that is higher stays.

        Args:
            name: the jobId.
            version: its resourceVersion.
            at: when it was read, Unix time; 0: it was not.
        """
        former = self._by_name.pop(name, Floor(0, 0.0))
        self._by_name[name] = Floor(max(version, former.version), max(at, former.at))
        if len(self._by_name) > REMEMBERED:
            del self._by_name[next(iter(self._by_name))]

    def of(self, name: str) -> Floor:
        """Return the floor of a job."""
        return self._by_name.get(name, Floor(0, 0.0))

    def clear(self) -> None:
        """Forget all: versions begin anew."""
        self._by_name.clear()
