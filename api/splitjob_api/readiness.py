"""Whether requests can be served, asked of the cluster at most once a second."""

import threading
import time
from collections.abc import Callable

from splitjob_api.cluster import ClusterUnavailable
from splitjob_api.tally import Tally

CACHE_SECONDS = 1.0
LOCK_SECONDS = 1.0  # how long a question waits for the answer to another one


class Readiness:
    """Answers `/readyz`.

    Args:
        probe: raises ClusterUnavailable where the cluster cannot serve us.
        tally: must have seen all SplitJobs once.
    """

    def __init__(self, probe: Callable[[], None], tally: Tally) -> None:
        self._probe = probe
        self._tally = tally
        self._lock = threading.Lock()
        self._reason: str | None = None
        self._expires = 0.0

    def reason_against(self) -> str | None:
        """Return why requests cannot be served now, or None where they can."""
        if not self._lock.acquire(timeout=LOCK_SECONDS):
            return "the Kubernetes API does not answer in time"
        try:
            if time.monotonic() >= self._expires:
                self._reason = self._ask()
                self._expires = time.monotonic() + CACHE_SECONDS
            return self._reason
        finally:
            self._lock.release()

    def _ask(self) -> str | None:
        try:
            self._probe()
        except ClusterUnavailable as error:
            return f"the Kubernetes API {error.reason}"
        return None if self._tally.complete else "the SplitJobs have not all been listed yet"
