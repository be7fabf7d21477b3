"""How many requests may wait for the cluster at once.

Most hold a thread while the API server answers. Without a limit below that of the threads, an API
server that hangs would take them all, and with them what needs no cluster. A submission holds none
and counts all the same: what waits for an API server that hangs is told so in time.
"""

from splitjob_api.concurrency_limit import ConcurrencyLimit
from splitjob_api.problems import ApiError, retry_later

__all__ = ["ClusterLimit"]

AT_ONCE = 32  # the framework has 40 threads
PATIENCE_SECONDS = 5.0


class ClusterLimit(ConcurrencyLimit):
    """The limit of requests that ask the cluster; who waits too long is told 503.

    Args:
        count: how many may ask at once.
        patience_seconds: how long a further one waits.
        waiting: what waits, for the refusal.
    """

    def __init__(
        self,
        count: int = AT_ONCE,
        patience_seconds: float = PATIENCE_SECONDS,
        waiting: str = "requests",
    ) -> None:
        super().__init__(count, patience_seconds, self._too_many)
        self._waiting = waiting

    def _too_many(self) -> ApiError:
        return retry_later(
            503,
            "cluster_unavailable",
            f"too many {self._waiting} wait for the Kubernetes API's answer",
        )
