"""Keeps the cache of jobs current: list, then watch, for ever, in a thread of its own."""

import logging
import threading

from splitjob_api.job_cache import JobCache
from splitjob_api.kubernetes import Cluster, ClusterUnavailableError
from splitjob_kube.errors import ExpiredError

FIRST_PAUSE_SECONDS = 0.25
LAST_PAUSE_SECONDS = 3.0

logger = logging.getLogger(__name__)


class Watcher(threading.Thread):
    """Feeds a cache from a cluster.

    A watch ends after a few seconds by the server's clock, later by ours, and goes on from the last
    change seen: one that has gone silent costs that time and no change. Before each the cluster is
    asked how far it is; shortly before its end the server says how far the watch is.

    Args:
        cluster: what to watch.
        jobs: what to keep current.
    """

    def __init__(self, cluster: Cluster, jobs: JobCache) -> None:
        super().__init__(name="splitjob-watch", daemon=True)
        self._cluster = cluster
        self._jobs = jobs
        self._stopped = threading.Event()
        self._pause = 0.0
        self._said = ""  # of what is wrong now
        self._expired = False  # and listed again for that

    def stop(self) -> None:
        """End the thread, at the next change or the end of the watch under way."""
        self._stopped.set()

    def run(self) -> None:
        """List and watch until stopped."""
        self._begin_anew()
        while not self._stopped.is_set():
            try:
                version = self._list()
                while not self._stopped.is_set():
                    version = self._follow(version)
                    self._begin_anew()  # a list alone is no reason to hurry
            except ExpiredError:
                if not self._expired:
                    self._expired = True
                    continue  # at once, but not again and again
                self._say_once("the Kubernetes API no longer knows the changes since the last list")
            except ClusterUnavailableError as error:
                self._say_once(str(error))
            except Exception:
                logger.exception("the watch of SplitJobs met a defect")
            self._jobs.mark_stale()
            self._stopped.wait(self._pause)
            self._pause = min(2 * self._pause, LAST_PAUSE_SECONDS)

    def _begin_anew(self) -> None:
        """Forget what went wrong before."""
        self._pause = FIRST_PAUSE_SECONDS
        self._said = ""
        self._expired = False

    def _say_once(self, reason: str) -> None:
        """Log why there is no watch, and not at each try of an outage."""
        if reason != self._said:
            logger.warning("the watch of SplitJobs was lost: %s", reason)
        self._said = reason

    def _list(self) -> str:
        listing, version = self._jobs.listing(), ""
        for page in self._cluster.list_all():
            listing.add(page.items)
            version = page.resource_version
        listing.complete(version)
        return version

    def _follow(self, version: str) -> str:
        self._jobs.check(self._cluster.latest_version)
        for event in self._cluster.watch(version):
            version = event.resource_version
            if event.type == "BOOKMARK":
                self._jobs.heard(version)
            else:
                self._jobs.apply(event.type, event.object)
            if self._stopped.is_set():
                break
        return version
