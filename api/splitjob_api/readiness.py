"""Whether requests can be served, asked of the cluster now and then and never by each request."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

from splitjob_api.kubernetes import ClusterUnavailableError
from splitjob_api.queue_stats import QueueStats
from splitjob_kube.preconditions import Unready, UnreadyReason

PROBE_SECONDS = 1.0  # how old an answer of the cluster may be
UNMET_SECONDS = 5.0  # how old a look at CRD and rights may be; they change by hand
WORK_SECONDS = 5.0  # how old an answer may be that a request goes by, while the next one is got
LOCK_SECONDS = 1.0  # how long a question waits for the answer to another one
TOLD_SECONDS = 4.0  # how long a probe waits at most; the kubelet gives it 5

logger = logging.getLogger(__name__)

LATE = Unready(UnreadyReason.CLUSTER_UNAVAILABLE, "the Kubernetes API does not answer in time")
UNLISTED = Unready(UnreadyReason.NOT_LISTED, "the SplitJobs have not all been listed yet")


class Readiness:
    """Answers `/readyz`; each change of the answer is logged once.

    Args:
        probe: raises ClusterUnavailableError where the cluster cannot serve us.
        unmet: returns what of the cluster is not as we need it; raises the same.
        stats: must have seen all SplitJobs once.
        report: is told what is in the way, for the metrics.
    """

    def __init__(
        self,
        probe: Callable[[], None],
        unmet: Callable[[], Sequence[Unready]],
        stats: QueueStats,
        report: Callable[[Sequence[Unready]], None],
    ) -> None:
        self._probe = probe
        self._look = unmet
        self._stats = stats
        self._report = report
        self._lock = threading.Lock()
        self._unmet: tuple[Unready, ...] = ()
        self._unmet_until = 0.0
        self._unready: tuple[Unready, ...] = ()
        self._expires = 0.0
        self._thread = ThreadPoolExecutor(1, "readiness")  # never taken by requests
        self._question: asyncio.Future[tuple[Unready, ...]] | None = None
        self._beside: Future[bool] | None = None

    async def told(self) -> tuple[Unready, ...]:
        """As `unready`, from the event loop: all who ask meanwhile share one thread's question."""
        if self._question is None or self._question.done():
            loop = asyncio.get_running_loop()
            self._question = loop.run_in_executor(self._thread, self.unready)
        try:
            async with asyncio.timeout(TOLD_SECONDS):
                return await asyncio.shield(self._question)
        except TimeoutError:
            return (LATE,)

    def unready(self) -> tuple[Unready, ...]:
        """Return what keeps requests from being served now; nothing where they can be."""
        return self._unready if self._refresh(LOCK_SECONDS) else (LATE,)

    def forbids_work(self) -> Unready | None:
        """Return what makes it wrong to accept a request now, or None.

        An outage is not among it: it shows in the attempt, which can be repeated. A request waits
        for the cluster only where nobody has asked for long, and then not long: else the answer
        before counts, and the next one is got beside it.
        """
        if awaited := self._ask_beside():
            wait([awaited], LOCK_SECONDS)
        return self._forbidding()

    async def told_of_work(self) -> Unready | None:
        """As `forbids_work`, from the event loop."""
        if awaited := self._ask_beside():
            await asyncio.wait([asyncio.wrap_future(awaited)], timeout=LOCK_SECONDS)
        return self._forbidding()

    def _ask_beside(self) -> Future[bool] | None:
        """Have the cluster asked where that is due; return what is to be waited for, or None."""
        now = time.monotonic()
        if now >= self._expires and (self._beside is None or self._beside.done()):
            self._beside = self._thread.submit(self._refresh, 0.0)
        return self._beside if now >= self._expires - PROBE_SECONDS + WORK_SECONDS else None

    def _forbidding(self) -> Unready | None:
        return next((one for one in self._unready if one.forbids_work), None)

    def _refresh(self, patience: float) -> bool:
        """Ask the cluster where the last answer is too old; returns whether that came in time.

        Args:
            patience: how long to wait for somebody who is asking already, in seconds.
        """
        if not self._lock.acquire(timeout=patience):
            return False
        try:
            if time.monotonic() >= self._expires:
                self._take_in(self._ask())
                self._expires = time.monotonic() + PROBE_SECONDS
            return True
        finally:
            self._lock.release()

    def _ask(self) -> tuple[Unready, ...]:
        try:
            if time.monotonic() >= self._unmet_until:
                self._unmet = tuple(self._look())
                self._unmet_until = time.monotonic() + UNMET_SECONDS
            if self._unmet:
                self._unmet_until = 0.0  # it may be put right any moment
                return self._unmet
            self._probe()
        except ClusterUnavailableError as error:
            self._unmet_until = 0.0
            return (Unready(UnreadyReason.CLUSTER_UNAVAILABLE, str(error)),)
        return () if self._stats.complete else (UNLISTED,)

    def _take_in(self, unready: tuple[Unready, ...]) -> None:
        before, self._unready = self._unready, unready
        self._report(unready)
        if unready == before:
            return
        for one in unready:
            logger.warning("not ready: %s", one.message, extra={"reason": one.reason.value})
        if not unready:
            logger.info("ready")
