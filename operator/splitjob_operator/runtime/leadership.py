"""Whether this process leads at this moment: asked before each write, answered by its own clock."""

import time
from collections.abc import Callable

from splitjob_kube.errors import KubernetesError

__all__ = ["Leadership", "NotLeadingError"]


class NotLeadingError(KubernetesError):
    """This process does not lead, or not any more: another one may be writing."""


class Leadership:
    """The term of a leader, as long as it has been renewed for; may be asked from any thread.

    It ends by the clock alone, so that a process which stood still knows as soon as it goes on.

    Args:
        monotonic: seconds.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._until = float("-inf")
        self._over = False

    @property
    def leads(self) -> bool:
        """Whether this process may act."""
        return not self._over and self._monotonic() < self._until

    def fence(self) -> None:
        """See that this process may act; to be called right before each write.

        Raises:
            NotLeadingError: it may not.
        """
        if not self.leads:
            raise NotLeadingError("not done: another operator may lead by now")

    def extend(self, until: float) -> None:
        """Let it act until then, in seconds of its clock."""
        self._until = until

    def lose(self) -> None:
        """Let it act no more, until it is extended."""
        self._until = float("-inf")

    def resign(self) -> None:
        """Let it never act again."""
        self._over = True
