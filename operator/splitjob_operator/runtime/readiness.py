"""Whether this operator may work, and what is in the way: in the log, at `/readyz`, as a metric."""

import asyncio
import logging
from collections.abc import Sequence

from splitjob_kube.preconditions import Unready, UnreadyReason
from splitjob_operator.runtime.metrics import UNREADY

__all__ = ["Readiness"]

log = logging.getLogger(__name__)

AT_START = Unready(UnreadyReason.NOT_LISTED, "the SplitJobs have not been listed yet")


class Readiness:
    """What is in the way at the moment.

    Attributes:
        may_work: set once everything was listed, until something forbids it. An outage does not:
            what fails is tried again.
    """

    def __init__(self) -> None:
        self._unready: tuple[Unready, ...] = (AT_START,)
        self.may_work = asyncio.Event()
        _measure(self._unready)

    @property
    def unready(self) -> tuple[Unready, ...]:
        """All that is in the way; nothing where the operator is ready."""
        return self._unready

    def report(self, unready: Sequence[Unready]) -> None:
        """Take in what is in the way now; say so where that has changed."""
        before, self._unready = self._unready, tuple(unready)
        if any(one.forbids_work for one in unready):
            self.may_work.clear()
        if self._unready == before:
            return
        _measure(self._unready)
        for one in self._unready:
            log.warning("Not ready: %s", one.message, extra={"reason": one.reason.value})
        if not self._unready:
            log.info("Ready")


def _measure(unready: Sequence[Unready]) -> None:
    present = {one.reason for one in unready}
    for reason in UnreadyReason:
        UNREADY.labels(reason.value).set(reason in present)
