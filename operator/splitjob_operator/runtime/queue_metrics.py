"""What waits, runs and is to be delivered, measured each time that Prometheus asks."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

from prometheus_client import REGISTRY
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from splitjob.conditions import Reason
from splitjob.lifecycle import LifecycleState
from splitjob_operator.core import kueue
from splitjob_operator.core.cached_splitjob import CachedSplitJob
from splitjob_operator.runtime.clock import Clock, utc_now
from splitjob_operator.runtime.metrics import LEADER, OTHER, RESYNC_AGE

__all__ = ["QueueCollector", "measure"]

STAGES = ("held", "waiting", "pending", "running", "finished")
NEW = "New"  # of a job that nobody has looked at yet
# Those that are told where nothing waits for them, too; Kueue's only where something does.
REASONS = (
    NEW,
    Reason.QUEUED,
    Reason.SUSPENDED,
    Reason.INSTALLATION_PAUSED,
    Reason.UNSCHEDULABLE,
    Reason.QUOTA_EXCEEDED,
    Reason.POD_REFUSED,
    Reason.JOB_REFUSED,
    Reason.NAME_TAKEN,
    Reason.STORAGE_UNAVAILABLE,
    Reason.SECRET_MISSING,
    Reason.RETRYING,
    Reason.STARTING,
    Reason.PULLING_IMAGE,
)


class QueueCollector(Collector):
    """Reads what the leader knows; a replica that stands by tells nothing, so nothing is doubled.

    Args:
        entries: the SplitJobs as the operator knows them.
        leads: whether this replica leads.
        clock: the time, in UTC.
    """

    def __init__(
        self,
        entries: Iterable[CachedSplitJob],
        leads: Callable[[], bool],
        clock: Clock = utc_now,
    ) -> None:
        self._entries = entries
        self._leads = leads
        self._clock = clock

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the gauges."""
        stages: Counter[str] = Counter(dict.fromkeys(STAGES, 0))
        reasons: Counter[str] = Counter(dict.fromkeys(REASONS, 0))
        undelivered: list[datetime] = []
        for entry in self._entries if self._leads() else ():
            stages[_stage(entry.state)] += 1
            if entry.state.unstarted:
                reasons[_reason(entry)] += 1
            if entry.undelivered_since:
                undelivered.append(entry.undelivered_since)
        yield self._by_label("splitjob_jobs", "SplitJobs by stage.", "stage", stages)
        yield self._by_label(
            "splitjob_queue_depth", "SplitJobs that no worker runs, by why.", "reason", reasons
        )
        yield from self._of_webhooks(undelivered)

    def _by_label(
        self, name: str, text: str, label: str, counts: Counter[str]
    ) -> GaugeMetricFamily:
        family = GaugeMetricFamily(name, text, labels=[label])
        for value, count in counts.items() if self._leads() else ():
            family.add_metric([value], count)
        return family

    def _of_webhooks(self, undelivered: list[datetime]) -> Iterator[GaugeMetricFamily]:
        count = GaugeMetricFamily(
            "splitjob_webhooks_undelivered", "Final webhooks that are still to be delivered."
        )
        age = GaugeMetricFamily(
            "splitjob_webhook_oldest_undelivered_seconds",
            "How long ago the oldest of them was due for the first time; 0 where there is none.",
        )
        if self._leads():
            now = self._clock()
            count.add_metric([], len(undelivered))
            oldest = min(undelivered, default=now)
            age.add_metric([], max(0.0, (now - oldest).total_seconds()))
        yield count
        yield age


def measure(
    entries: Iterable[CachedSplitJob], leads: Callable[[], bool], resync_age: Callable[[], float]
) -> None:
    """Measure this process from now on, each time that Prometheus asks.

    Args:
        entries: the SplitJobs as the operator knows them.
        leads: whether this replica leads.
        resync_age: seconds since the last full resync.
    """
    LEADER.set_function(leads)
    RESYNC_AGE.set_function(resync_age)
    REGISTRY.register(QueueCollector(entries, leads))


def _stage(state: LifecycleState) -> str:
    """Return the label of a lifecycle state: dashboards tell fewer apart."""
    if state.finished:
        return "finished"
    if state is LifecycleState.RUNNING:
        return "running"
    if state.active:
        return "pending"
    return "waiting" if state is LifecycleState.QUEUED else "held"


def _reason(entry: CachedSplitJob) -> str:
    """Return why a job does not run, as one of the labels that are known beforehand."""
    if entry.queue is None:
        return NEW
    reason = entry.queue.reason or NEW
    if reason in REASONS or reason in kueue.REASONS:
        return reason
    return kueue.OTHER_REASON if kueue.is_kueues(reason) else OTHER
