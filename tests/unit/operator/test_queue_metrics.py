"""What is measured of the queue and the outboxes each time that Prometheus asks."""

from collections.abc import Mapping
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from tests.support.operator_samples import after, raw_splitjob, stamp

from splitjob_operator.core.cached_splitjob import CachedSplitJob
from splitjob_operator.runtime.queue_metrics import QueueCollector


def waiting(reason: str) -> dict[str, Any]:
    return {"queue": {"reason": reason}, "conditions": [condition("Admitted", "False", reason)]}


def condition(kind: str, status: str, reason: str) -> dict[str, str]:
    return {"type": kind, "status": status, "reason": reason, "lastTransitionTime": stamp(after(0))}


def running() -> dict[str, Any]:
    return {
        "conditions": [
            condition("Admitted", "True", "Admitted"),
            condition("Started", "True", "R"),
        ],
        "attempts": [{"number": 1, "jobName": "one-1"}],
    }


def ended(state: str, at: float = 0, **hook: Any) -> dict[str, Any]:
    outbox = {"eventId": "e", "event": "failed", "state": state, "createdAt": stamp(after(at))}
    return {
        "conditions": [condition("Succeeded", "False", "SourceNotFound")],
        "finishedAt": stamp(after(at)),
        "webhook": outbox | hook,
    }


def measured(*statuses: Mapping[str, Any] | None, leads: bool = True) -> CollectorRegistry:
    """Return a registry that measures SplitJobs of these statuses, a minute after NOW."""
    entries = [CachedSplitJob.of(raw_splitjob(status=dict(s) if s else None)) for s in statuses]
    registry = CollectorRegistry()
    registry.register(QueueCollector(entries, lambda: leads, lambda: after(60)))
    return registry


def by(label: str, registry: CollectorRegistry, name: str) -> dict[str, float]:
    (found,) = (metric for metric in registry.collect() if metric.name == name)
    return {s.labels[label]: s.value for s in found.samples if s.value}


def test_each_job_that_no_worker_runs_counts_under_why() -> None:
    registry = measured(
        None,
        waiting("Queued"),
        waiting("Queued"),
        waiting("Suspended"),
        waiting("PullingImage"),
        running(),
        ended("Delivered"),
    )
    counts = by("reason", registry, "splitjob_queue_depth")
    assert counts == {"New": 1, "Queued": 2, "Suspended": 1, "PullingImage": 1}
    assert by("stage", registry, "splitjob_jobs") == {"waiting": 5, "running": 1, "finished": 1}


def test_reasons_of_another_version_share_one_label() -> None:
    counts = by("reason", measured(waiting("OfLater"), waiting("Other")), "splitjob_queue_depth")
    assert counts == {"other": 2}


def test_reasons_of_kueue_have_their_names_and_those_of_a_later_kueue_share_one() -> None:
    registry = measured(
        waiting("KueuePending"),
        waiting("KueuePreempted"),
        waiting("KueueNoWorkload"),
        waiting("KueueOfLater"),
        waiting("KueueOfMuchLater"),
    )
    assert by("reason", registry, "splitjob_queue_depth") == {
        "KueuePending": 1,
        "KueuePreempted": 1,
        "KueueNoWorkload": 1,
        "KueueOther": 2,
    }


@pytest.mark.parametrize(
    ("statuses", "count", "age"),
    [
        ([], 0, 0),
        ([ended("Delivered"), ended("NotWanted"), ended("GivenUp")], 0, 0),
        ([ended("Pending", 20), ended("Blocked", 5), ended("Delivered", 0)], 2, 55),
        ([ended("Pending", 0, redeliveries=1)], 0, 0),
    ],
    ids=["no job", "all settled", "two open", "sent again by hand"],
)
def test_the_oldest_undelivered_webhook_is_as_old_as_its_event(
    statuses: list[dict[str, Any]], count: int, age: float
) -> None:
    registry = measured(*statuses)
    assert registry.get_sample_value("splitjob_webhooks_undelivered") == count
    assert registry.get_sample_value("splitjob_webhook_oldest_undelivered_seconds") == age


def test_a_replica_that_stands_by_tells_nothing_so_that_a_sum_counts_nothing_twice() -> None:
    registry = measured(waiting("Queued"), ended("Pending"), leads=False)
    assert [s for metric in registry.collect() for s in metric.samples] == []
    assert measured(waiting("Queued")).get_sample_value("splitjob_jobs", {"stage": "held"}) == 0
