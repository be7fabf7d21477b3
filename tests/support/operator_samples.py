"""SplitJobs, Jobs and pods as the API server gives them, for tests of the operator's pure code."""

import json
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from splitjob import workload
from splitjob.resource import API_VERSION, KIND, LABEL_ATTEMPT, LABEL_SPLITJOB
from splitjob.result import EXIT_BAD_INPUT, StemReport, WorkerReport
from splitjob.status import Attempt
from splitjob_operator.core.lookups import LookupResults, ManifestLookup, ManifestState
from splitjob_operator.core.observed import KubeJob, KubePod, Observed, QueueDecision, SplitJob
from splitjob_operator.core.plan import Plan
from splitjob_operator.core.settings import Settings
from splitjob_operator.core.status_json import dump_status
from splitjob_operator.core.worker_job import build_job

NOW = datetime(2026, 11, 22, 20, 0, 0, tzinfo=UTC)
NAME = "split-abc"
UID = "11111111-2222-3333-4444-555555555555"
JOB_UID = "99999999-2222-3333-4444-555555555555"
SERVABLE = LookupResults(checked=True, manifest=ManifestLookup(ManifestState.ABSENT))


def stamp(when: datetime) -> str:
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def settings(**changed: Any) -> Settings:
    values: dict[str, Any] = {
        "demucssvc_token": "a-token",
        "worker_image": "worker:1",
        "s3_bucket": "stems",
        "worker_secret_name": "keys",
        "source_allowed_networks": "",
        "namespace": "ns",
    }
    return Settings(**(values | changed))


def raw_splitjob(
    *, spec: dict[str, Any] | None = None, status: dict[str, Any] | None = None, **request: Any
) -> dict[str, Any]:
    asked = {
        "versionId": "v1",
        "model": "demo",
        "source": {"url": "https://audio.example.com/song.wav"},
        "webhook": {"url": "https://hooks.example.com/x"},
    }
    found: dict[str, Any] = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {
            "name": NAME,
            "namespace": "ns",
            "uid": UID,
            "resourceVersion": "7",
            "generation": 1,
            "creationTimestamp": stamp(NOW),
        },
        "spec": {"request": asked | request, **(spec or {})},
    }
    if status is not None:
        found["status"] = status
    return found


def splitjob(**arguments: Any) -> SplitJob:
    return SplitJob.of(raw_splitjob(**arguments))


def written(view: SplitJob, plan: Plan) -> SplitJob:
    """The SplitJob after the plan's status was written and read back."""
    assert plan.status is not None
    return replace(view, status=type(view.status).model_validate(dump_status(plan.status)))


def job(number: int = 1, **changed: Any) -> KubeJob:
    values: dict[str, Any] = {
        "name": f"{NAME}-{number}",
        "uid": f"{JOB_UID}-{number}",
        "owner_kind": KIND,
        "owner_uid": UID,
        "created_at": NOW,
    }
    return KubeJob(**(values | changed))


def raw_pod(number: int = 1, **state: Any) -> dict[str, Any]:
    """A pod on its node; `state` is that of its worker container."""
    return {
        "metadata": {
            "name": f"{NAME}-{number}-xyz",
            "uid": f"pod-{number}",
            "creationTimestamp": stamp(NOW),
            "labels": {LABEL_SPLITJOB: NAME, LABEL_ATTEMPT: str(number)},
            "ownerReferences": [{"kind": "Job", "uid": f"{JOB_UID}-{number}", "controller": True}],
        },
        "spec": {"nodeName": "node-1"},
        "status": {
            "phase": "Pending",
            "conditions": [
                {"type": "PodScheduled", "status": "True", "lastTransitionTime": stamp(NOW)}
            ],
            "containerStatuses": [{"name": workload.CONTAINER, "state": state}],
        },
    }


def running_pod(number: int = 1, since: datetime = NOW) -> KubePod:
    raw = raw_pod(number, running={"startedAt": stamp(since)})
    raw["status"]["phase"] = "Running"
    return KubePod.of(raw)


def ended_pod(
    exit_code: int, message: str = "", reason: str = "", number: int = 1, **top: Any
) -> KubePod:
    raw = raw_pod(
        number,
        terminated={
            "exitCode": exit_code,
            "reason": reason or ("Completed" if exit_code == 0 else "Error"),
            "message": message,
            "startedAt": stamp(NOW),
            "finishedAt": stamp(after(5)),
        },
    )
    raw["status"]["phase"] = "Failed" if exit_code else "Succeeded"
    return replace(KubePod.of(raw), **top)


def completed_report(*, delivered: bool = False) -> WorkerReport:
    return WorkerReport(
        outcome="completed",
        stems=[
            StemReport(name=n, sha256="ab" * 32, size=10, frames=44100, peak=0.5, gain=1.0)
            for n in ("drums", "vocals")
        ],
        sample_rate=44100,
        device="cpu",
        processing_time_ms=4000,
        webhook_delivered=delivered,
    )


def completed_pod(number: int = 1, *, delivered: bool = False) -> KubePod:
    message = completed_report(delivered=delivered).encode().decode()
    return ended_pod(0, message, number=number)


def failed_pod(code: str, number: int = 1, *, retryable: bool = False) -> KubePod:
    message = json.dumps(
        {
            "outcome": "failed",
            "code": code,
            "message": f"It is {code}.",
            "retryable": retryable,
            "s": [],
        }
    )
    return ended_pod(EXIT_BAD_INPUT, message, number=number)


def seen(view: SplitJob, **changed: Any) -> Observed:
    values: dict[str, Any] = {
        "splitjob": view,
        "lookups": SERVABLE,
        "queue_decision": QueueDecision(),
    }
    return Observed(**(values | changed))


def manifest_job(changed: dict[str, Any] | None = None, **request: Any) -> dict[str, Any]:
    """The Job the operator would create, its settings changed."""
    attempt = Attempt(number=1, job_name=f"{NAME}-1")
    return build_job(splitjob(**request), attempt, settings(**(changed or {})))


def copied(raw: dict[str, Any]) -> dict[str, Any]:
    return deepcopy(raw)
