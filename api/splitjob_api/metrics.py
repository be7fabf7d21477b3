"""What Prometheus is told: requests, and how busy the queue is."""

import time
from collections.abc import Iterator, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from splitjob_api.queue_stats import QueueStats
from splitjob_api.streams import Streams
from splitjob_kube.preconditions import Unready, UnreadyReason

_KNOWN_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
_FAILED = ("500", "503")


class QueueCollector(Collector):
    """Reads the queue's statistics each time Prometheus asks."""

    def __init__(self, stats: QueueStats) -> None:
        self._stats = stats

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the gauges; none where changes may be missing."""
        if not self._stats.followed:
            return
        now = self._stats.snapshot(time.time())
        for name, text, value in (
            ("track_tree_audio_queue_depth", "Jobs no worker has started on.", now.queued),
            ("track_tree_audio_active_workers", "Jobs that a worker runs.", now.running),
            (
                "track_tree_audio_oldest_queued_seconds",
                "How long the oldest queued job has waited.",
                now.oldest_seconds,
            ),
        ):
            yield GaugeMetricFamily(name, text, value=value)


class Metrics:
    """The metrics of one app, in a registry of their own.

    Args:
        stats: what waits and runs.
        streams: the open ones are counted.

    Attributes:
        registry: for the exposition at /metrics.
        submissions: jobs by outcome: created, repeated.
    """

    def __init__(self, stats: QueueStats, streams: Streams) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(QueueCollector(stats))
        self._requests = Counter(
            "track_tree_audio_api_requests",
            "Requests answered.",
            ["method", "route", "status"],
            registry=self.registry,
        )
        for status in _FAILED:  # so that the first one is a rise
            self._requests.labels("POST", "/split", status)
        self._seconds = Histogram(
            "track_tree_audio_api_request_seconds",
            "Time to answer a request.",
            ["route"],
            registry=self.registry,
        )
        self._unready = Gauge(
            "track_tree_audio_api_unready",
            "1 for each reason why no requests are served.",
            ["reason"],
            registry=self.registry,
        )
        Gauge(
            "track_tree_audio_api_streams", "Open streams of events.", registry=self.registry
        ).set_function(lambda: streams.count)
        self.submissions = Counter(
            "track_tree_audio_submissions",
            "POST /split answered with a job, by whether it was new.",
            ["outcome"],
            registry=self.registry,
        )

    def unready(self, found: Sequence[Unready]) -> None:
        """Take in what keeps requests from being served."""
        present = {one.reason for one in found}
        for reason in UnreadyReason:
            self._unready.labels(reason.value).set(reason in present)

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answer."""
        known = method if method in _KNOWN_METHODS else "other"
        self._requests.labels(known, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)
