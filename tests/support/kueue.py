"""A stand-in for Kueue: it does to Jobs and Workloads what Kueue's manager does, and no more.

Written from Kueue's documentation and its v1beta1 API. It keeps a Workload of each Job of its
queue, admits the oldest while its quota lasts, evicts what is preempted or made inactive, and
admits that again: by `spec.suspend` of the Jobs and the conditions of the Workloads. The definition
is cut down to what is read and written here; flavors and admission checks are Kueue's own.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from tests.support.definition import establish
from tests.support.waiting import NOT_YET

from splitjob_local.cluster.objects import ObjectClient
from splitjob_operator.core.kueue import JOB_UID_LABEL, PRIORITY_LABEL, QUEUE_LABEL

__all__ = ["KueueStandIn", "kueue"]

GROUP = "kueue.x-k8s.io"
VERSION = "v1beta1"
LOOK_SECONDS = 0.1
DURING = "2026-01-01T00:00:00Z"  # no test reads when a condition changed
_OPEN = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
DEFINITION: dict[str, Any] = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {
        "name": f"workloads.{GROUP}",
        "annotations": {"api-approved.kubernetes.io": "unapproved, a stand-in for tests"},
    },
    "spec": {
        "group": GROUP,
        "scope": "Namespaced",
        "names": {"plural": "workloads", "singular": "workload", "kind": "Workload"},
        "versions": [
            {
                "name": VERSION,
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {"spec": _OPEN, "status": _OPEN},
                    }
                },
            }
        ],
    },
}
Json = dict[str, Any]


class KueueStandIn:
    """The manager of one queue in one namespace.

    Args:
        objects: the cluster's.
        namespace: where the LocalQueue would be.
        queue: its name.

    Attributes:
        quota: how many Jobs may run at once.
    """

    def __init__(self, objects: ObjectClient, namespace: str, queue: str) -> None:
        self.quota = 0
        self._objects = objects
        self._namespace = namespace
        self._queue = queue
        self._preempted: set[str] = set()
        self._ended = threading.Event()

    def run(self) -> None:
        """Look at Jobs and Workloads until it is stopped."""
        while not self._ended.wait(LOOK_SECONDS):
            with suppress(*NOT_YET):
                self._look()

    def stop(self) -> None:
        self._ended.set()

    def preempt(self, job: str) -> None:
        """Take an admitted Job back for one of a higher priority."""
        self._preempted.add(job)

    def workload(self, job: str) -> Json:
        """Return the Workload of a Job."""
        return next(one for one in self._workloads() if _job_of(one) == job)

    def _look(self) -> None:
        jobs = [one for one in self._all("jobs") if _queue_of(one) == self._queue]
        workloads = {_job_of(one): one for one in self._workloads()}
        for job in jobs:
            if _name(job) not in workloads:
                self._objects.create(self._of(job), self._namespace)
        unfinished = {_name(job): job for job in jobs if not _finished(job)}
        for name, workload in workloads.items():
            if name in unfinished and _is_admitted(workload):
                self._keep(unfinished[name], workload)
        waiting = [
            one for name, one in workloads.items() if name in unfinished and not _is_admitted(one)
        ]
        free = self.quota - (len([w for w in workloads if w in unfinished]) - len(waiting))
        for workload in sorted(waiting, key=lambda one: str(one["metadata"]["creationTimestamp"])):
            if free > 0 and workload["spec"]["active"]:
                self._admit(unfinished[_job_of(workload)], workload)
                free -= 1
            elif not workload.get("status"):
                self._tell(workload, QuotaReserved=("Pending", "insufficient unused quota for gpu"))

    def _keep(self, job: Json, workload: Json) -> None:
        """Evict an admitted Job where it must go."""
        if not workload["spec"]["active"]:
            self._evict(job, workload, "Deactivated", "The workload is deactivated")
        elif _name(job) in self._preempted:
            self._preempted.discard(_name(job))
            self._evict(job, workload, "Preempted", "Preempted to accommodate a workload")
        elif job["spec"].get("suspend"):
            self._suspend(job, held=False)

    def _admit(self, job: Json, workload: Json) -> None:
        self._tell(workload, QuotaReserved=True, Admitted=True, Evicted=("QuotaReserved", "again"))
        self._suspend(job, held=False)

    def _evict(self, job: Json, workload: Json, reason: str, message: str) -> None:
        held = ("Pending", message)
        self._tell(workload, QuotaReserved=held, Admitted=held, Evicted=(reason, message, True))
        self._suspend(job, held=True)

    def _suspend(self, job: Json, *, held: bool) -> None:
        change = {"spec": {"suspend": held}}
        self._objects.patch("job", _name(job), change, namespace=self._namespace)

    def _tell(self, workload: Json, **conditions: Any) -> None:
        told = [_condition(kind, given) for kind, given in conditions.items()]
        self._objects.patch(
            "workload",
            _name(workload),
            {"status": {"conditions": told}},
            namespace=self._namespace,
            subresource="status",
        )

    def _of(self, job: Json) -> Json:
        metadata, spec = job["metadata"], job["spec"]
        priority = metadata["labels"].get(PRIORITY_LABEL, "")
        owner = {"apiVersion": "batch/v1", "kind": "Job", "controller": True}
        return {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": "Workload",
            "metadata": {
                "name": f"job-{metadata['name']}-{metadata['uid'][:5]}",
                "labels": {JOB_UID_LABEL: metadata["uid"]},
                "ownerReferences": [{**owner, "name": metadata["name"], "uid": metadata["uid"]}],
            },
            "spec": {
                "active": True,
                "queueName": self._queue,
                "priorityClassName": priority,
                "podSets": [{"name": "main", "count": 1, "template": spec["template"]}],
            },
        }

    def _workloads(self) -> list[Json]:
        return self._all("workloads")

    def _all(self, kind: str) -> list[Json]:
        found: list[Json] = self._objects.get(kind, namespace=self._namespace)["items"]
        return found


@contextmanager
def kueue(objects: ObjectClient, namespace: str, queue: str) -> Iterator[KueueStandIn]:
    """Have a stand-in for Kueue look after a queue of a namespace."""
    establish(objects, DEFINITION)
    manager = KueueStandIn(objects, namespace, queue)
    thread = threading.Thread(target=manager.run, name="kueue", daemon=True)
    thread.start()
    try:
        yield manager
    finally:
        manager.stop()
        thread.join()


def _condition(kind: str, given: bool | tuple[Any, ...]) -> Json:
    reason, message, *true = (kind, "", True) if isinstance(given, bool) else given
    status = "True" if true else "False"
    told = {"type": kind, "status": status, "reason": reason, "message": message}
    return {**told, "lastTransitionTime": DURING}


def _name(item: Json) -> str:
    return str(item["metadata"]["name"])


def _job_of(workload: Json) -> str:
    return str(workload["metadata"]["ownerReferences"][0]["name"])


def _queue_of(job: Json) -> str:
    return str(job["metadata"].get("labels", {}).get(QUEUE_LABEL, ""))


def _finished(job: Json) -> bool:
    conditions = job.get("status", {}).get("conditions", [])
    over = {"Complete", "Failed", "FailureTarget", "SuccessCriteriaMet"}
    return any(one["type"] in over and one["status"] == "True" for one in conditions)


def _is_admitted(workload: Json) -> bool:
    conditions = workload.get("status", {}).get("conditions", [])
    return any(one["type"] == "Admitted" and one["status"] == "True" for one in conditions)
