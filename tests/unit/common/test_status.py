"""A status that another version has written: what cannot be read of it is left out, no more."""

from copy import deepcopy
from typing import Any

import pytest

from splitjob.lifecycle import LifecycleState, lifecycle_of
from splitjob.status import read_status
from splitjob_operator.core.cached_splitjob import CachedSplitJob
from splitjob_operator.core.observed import SplitJob

NOW = "2026-01-01T00:00:00Z"
STATUS: dict[str, Any] = {
    "phase": "Failed",
    "conditions": [
        {"type": kind, "status": "False", "reason": "R", "lastTransitionTime": NOW}
        for kind in ("Admitted", "Started", "Succeeded", "Notified")
    ],
    "attempts": [{"number": 1, "jobName": "one-1"}, {"number": 2, "jobName": "one-2"}],
    "queue": {"reason": "Queued", "since": NOW},
    "progress": {"stage": "separate", "percent": 40},
    "failure": {"code": "worker_oom", "message": "m"},
    "webhook": {"eventId": "evt-1", "event": "failed", "state": "Pending"},
    "finishedAt": NOW,
}
OLDER: dict[str, tuple[tuple[str | int, ...], str]] = {
    "a condition without its time": (("conditions", 3, "lastTransitionTime"), "conditions"),
    "an attempt without its Job": (("attempts", 0, "jobName"), "attempts"),
    "an outbox without its state": (("webhook", "state"), "webhook"),
    "progress without per cent": (("progress", "percent"), "progress"),
    "a failure without its code": (("failure", "code"), "failure"),
}


def splitjob(status: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": "one", "namespace": "n", "uid": "u", "resourceVersion": "1"}
    request = {"versionId": "v", "model": "demo", "source": {"url": "https://e.com/a"}}
    return {
        "metadata": {**metadata, "creationTimestamp": NOW},
        "spec": {"request": {**request, "webhook": {"url": "https://e.com/h"}}},
        "status": status,
    }


@pytest.mark.parametrize("case", OLDER)
def test_only_the_part_that_cannot_be_read_is_left_out(case: str) -> None:
    (*way, last), part = OLDER[case]
    status = deepcopy(STATUS)
    inner: Any = status
    for step in way:
        inner = inner[step]
    del inner[last]
    whole, found = read_status(STATUS).model_dump(), read_status(status).model_dump()
    assert {name for name in whole if whole[name] != found[name]} == {part}


def test_a_phase_of_a_later_version_does_not_hide_the_rest() -> None:
    found = read_status({**STATUS, "phase": "Invented"})
    assert found.phase is None
    assert len(found.conditions) == 4


@pytest.mark.parametrize(
    "queue", [{"position": "first"}, {"since": "yesterday"}, {"etaSeconds": -1}]
)
def test_one_that_cannot_be_read_stops_neither_operator_nor_api(queue: dict[str, Any]) -> None:
    odd = splitjob({"queue": queue, "conditions": [{"type": "Succeeded"}], "attempts": [{}]})
    assert CachedSplitJob.of(splitjob({"queue": queue})).state is LifecycleState.QUEUED
    assert SplitJob.of(odd).status.attempts == []
    assert lifecycle_of(odd) is LifecycleState.QUEUED


def test_a_status_that_is_not_there_is_empty() -> None:
    assert read_status(None) == read_status({})
