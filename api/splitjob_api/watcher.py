"""Keeps the queue's statistics current: list, then watch, for ever, in a thread of its own."""

import logging
import threading
from itertools import chain

from splitjob_api.kubernetes import Cluster, ClusterUnavailableError
from splitjob_api.queue_stats import QueueStats
from splitjob_kube.errors import ExpiredError

FIRST_PAUSE_SECONDS = 0.25
LAST_PAUSE_SECONDS = 3.0

logger = logging.getLogger(__name__)


class Watcher(threading.Thread):
    """Feeds the statistics from a cluster.

    A watch ends after a minute by the server's clock, a little later by ours, and goes on from the
    last change seen: one that has gone silent costs that minute and no change.

    Args:
        cluster: what to watch.
        stats: what to keep current.
    """

    def __init__(self, cluster: Cluster, stats: QueueStats) -> None:
        super().__init__(name="splitjob-watch", daemon=True)
        self._cluster = cluster
        self._stats = stats
        self._stopped = threading.Event()

    def stop(self) -> None:
        """End the thread, at the next change or the end of the watch under way."""
        self._stopped.set()

    def run(self) -> None:
        """List and watch until stopped."""
        pause = FIRST_PAUSE_SECONDS
        said = ""
        while not self._stopped.is_set():
            try:
                version = self._list()
                pause, said = FIRST_PAUSE_SECONDS, ""
                while not self._stopped.is_set():
                    version = self._follow(version)
            except ExpiredError:
                continue
            except ClusterUnavailableError as error:
                if str(error) != said:  # once, and not at each try of an outage
                    logger.warning("the watch of SplitJobs was lost: %s", error)
                said = str(error)
            except Exception:
                logger.exception("the watch of SplitJobs met a defect")
            self._stats.mark_stale()
            self._stopped.wait(pause)
            pause = min(2 * pause, LAST_PAUSE_SECONDS)

    def _list(self) -> str:
        pages = list(self._cluster.list_all())
        self._stats.replace(chain.from_iterable(page.items for page in pages))
        return pages[-1].resource_version

    def _follow(self, version: str) -> str:
        for event in self._cluster.watch(version):
            version = event.resource_version
            if event.type != "BOOKMARK":
                self._stats.apply(event.type, event.object)
            if self._stopped.is_set():
                break
        return version
