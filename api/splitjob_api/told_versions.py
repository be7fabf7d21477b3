"""The version of each job that callers were told last: nothing older is told afterwards.

The API server is ahead of the watch. A caller who was answered from there, or whose own change was
written there, must not be told the state before from memory.
"""

import sys
from typing import NamedTuple

REMEMBERED = 4096  # jobs; the watch gets to each within moments
GONE = sys.maxsize  # a version that nothing has: whatever is held here of the job is too old


class ToldVersion(NamedTuple):
    """The least that may be told of a job.

    Attributes:
        version: its resourceVersion.
        at: when it was read, Unix time; 0: it was not.
    """

    version: int
    at: float


class ToldVersions:
    """The least version that may be told of each job that was lately told or changed.

    For one thread at a time.

    Attributes:
        highest: the latest resourceVersion among them so far.
    """

    def __init__(self) -> None:
        self.highest = 0
        self._by_name: dict[str, ToldVersion] = {}  # the latest last

    def note(self, name: str, version: int, at: float = 0.0) -> None:
        """Take in that a job was told, or changed; a later version stays.

        Args:
            name: the jobId.
            version: its resourceVersion.
            at: when it was read, Unix time; 0: it was not.
        """
        former = self._by_name.get(name, ToldVersion(0, 0.0))
        least = 0 if former.version == GONE else former.version
        self.highest = max(self.highest, version)
        self._put(name, ToldVersion(max(version, least), max(at, former.at)))

    def note_gone(self, name: str) -> None:
        """Let nothing be told of a job that was not there any more."""
        self._put(name, ToldVersion(GONE, 0.0))

    def is_gone(self, name: str) -> bool:
        """Return whether a job was not there any more, and nothing has been heard since."""
        found = self._by_name.get(name)
        return found is not None and found.version == GONE

    def heard_gone(self, name: str) -> None:
        """Take in that the watch, too, has come to where a job is gone: it may come anew."""
        if self.is_gone(name):
            del self._by_name[name]

    def of(self, name: str) -> ToldVersion:
        """Return the least that may be told of a job."""
        return self._by_name.get(name, ToldVersion(0, 0.0))

    def clear(self) -> None:
        """Forget all: versions begin anew."""
        self._by_name.clear()
        self.highest = 0

    def names(self) -> list[str]:
        """Return which jobs are held here."""
        return list(self._by_name)

    def _put(self, name: str, told: ToldVersion) -> None:
        self._by_name.pop(name, None)
        self._by_name[name] = told
        if len(self._by_name) > REMEMBERED:
            del self._by_name[next(iter(self._by_name))]
