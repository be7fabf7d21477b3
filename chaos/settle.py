"""After the storm: waits until everything is at rest.

What comes by itself, but only in minutes, is hurried: pods whose start is put off, and events whose
next attempt is far away, which their receiver would ask for.
"""

import time
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from chaos.cluster import StormyCluster
from chaos.invariants import Violation
from chaos.load import Load, redeliver
from chaos.receiver import LOSES, Receiver
from chaos.timeline import Timeline
from splitjob.resource import LABEL_SPLITJOB
from splitjob_client import ClientError
from splitjob_local.cluster.objects import ClusterError

POLL_SECONDS = 1.0
READY_SECONDS = 600.0  # it takes two to eight; a machine that is busy otherwise, some minutes
# An event that is next sent later than this is asked for, as its receiver would once it is back.
PATIENCE = timedelta(seconds=20)
FINAL = {"Completed", "Failed", "Canceled"}
TOLD = {"Delivered", "NotWanted", "GivenUp"}

Json = dict[str, Any]


def settle(
    cluster: StormyCluster, load: Load, receiver: Receiver, timeline: Timeline, seconds: float
) -> list[Violation]:
    """Wait until all jobs have ended and been told of; returns what has not come to rest in time.

    Args:
        cluster: with nothing wrong about it any more.
        load: that was put on it.
        receiver: of the webhooks, well again.
        timeline: told how it went.
        seconds: for how long nothing may come any nearer to rest: how long it takes in all says
            more about the machine.
    """
    cluster.wait_until_ready(READY_SECONDS)
    _end_back_offs(cluster)
    if not load.finish(seconds * 3):
        return [Violation("the service does not accept what it was asked during the storm")]
    timeline.note("everything asked for was accepted")
    asked: set[str] = set()
    rest, moved, before = [Violation("the cluster does not answer")], time.monotonic(), ""
    while rest and time.monotonic() < moved + seconds:
        time.sleep(POLL_SECONDS)
        with suppress(ClusterError, ClientError):
            jobs = cluster.objects.get("splitjobs", namespace=cluster.namespace)["items"]
            _ask_for_late_events(load, jobs, asked)
            _ask_for_lost_events(load, receiver, jobs, asked)
            rest = _not_at_rest(jobs) + _lost(receiver, jobs) + _under_way(cluster)
            if (now := _how_far(jobs)) != before:
                moved, before = time.monotonic(), now
    timeline.note("all is at rest" if not rest else "not all is at rest")
    return rest


def _how_far(jobs: list[Json]) -> str:
    """Return how far all jobs are, apart from what changes while they only wait."""
    waiting = {"queue", "conditions"}
    told = [{**job.get("status", {}), "name": job["metadata"]["name"]} for job in jobs]
    return str([{key: v for key, v in one.items() if key not in waiting} for one in told])


def _end_back_offs(cluster: StormyCluster) -> None:
    """Delete pods whose next start is put off for minutes, as an impatient person would."""
    for pod in cluster.objects.get("pods", namespace=cluster.namespace)["items"]:
        states = pod["status"].get("containerStatuses", [])
        waits = [one["state"].get("waiting", {}).get("reason") for one in states]
        if "CrashLoopBackOff" in waits:
            name = pod["metadata"]["name"]
            cluster.objects.delete("pod", name, namespace=cluster.namespace)


def _ask_for_late_events(load: Load, jobs: list[Json], asked: set[str]) -> None:
    for job in jobs:
        outbox = job.get("status", {}).get("webhook") or {}
        next_at, name = outbox.get("nextAttemptAt"), job["metadata"]["name"]
        if outbox.get("state") != "Pending" or next_at is None or name in asked:
            continue
        if datetime.fromisoformat(next_at) > datetime.now(UTC) + PATIENCE:
            redeliver(load, name)
            asked.add(name)


def _ask_for_lost_events(load: Load, receiver: Receiver, jobs: list[Json], asked: set[str]) -> None:
    lost = _names_of_lost(receiver)
    for job in jobs:
        name = job["metadata"]["name"]
        if name in lost and name not in asked and _state(job) == "Delivered":
            redeliver(load, name)
            asked.add(name)


def _lost(receiver: Receiver, jobs: list[Json]) -> list[Violation]:
    lost = _names_of_lost(receiver)
    names = [job["metadata"]["name"] for job in jobs]
    return [Violation("its receiver has lost the event", name) for name in names if name in lost]


def _names_of_lost(receiver: Receiver) -> set[str]:
    """Return the jobs whose receiver has confirmed their event, but lost it each time."""
    kept = Counter(one.body["jobId"] for one in receiver.heard if one.mood != LOSES)
    return {one.body["jobId"] for one in receiver.heard} - kept.keys()


def _state(job: Json) -> str:
    return str((job.get("status", {}).get("webhook") or {}).get("state"))


def _not_at_rest(jobs: list[Json]) -> list[Violation]:
    found = []
    for job in jobs:
        name, status = job["metadata"]["name"], job.get("status", {})
        if status.get("phase") not in FINAL:
            found.append(Violation(f"has not ended: it is {status.get('phase')}", name))
        elif _state(job) not in TOLD:
            found.append(Violation(f"its event is {_state(job)}", name))
        elif not status.get("counted"):
            found.append(Violation("the totals do not include it", name))
    return found


def _under_way(cluster: StormyCluster) -> list[Violation]:
    left = cluster.objects.get("jobs,pods", namespace=cluster.namespace, selector=LABEL_SPLITJOB)[
        "items"
    ]
    return [
        Violation(
            f"{one['kind']} {one['metadata']['name']} is still there",
            one["metadata"]["labels"][LABEL_SPLITJOB],
        )
        for one in left
    ]
