"""Pods of the chart, the worker's as the operator makes it, and the names in them."""

from typing import Any

import pytest
from tests.support.chart import RELEASE, Manifest, container, environment, one

from splitjob.resource import API_VERSION, KIND
from splitjob.status import Attempt
from splitjob_operator.core import worker_job
from splitjob_operator.core.observed import SplitJob
from splitjob_operator.core.settings import Settings

DEPLOYMENTS = ("api", "operator")
COMPONENTS = (*DEPLOYMENTS, "worker")
FULL = f"{RELEASE}-track-tree-audio"
DIGEST = f"sha256:{'a' * 64}"
ROLE = "storage.webIdentity.roleArn=arn:aws:iam::123456789012:role/stems"
DOWNLOADS = "api.storage.enabled=true"
UPLOADS = "api.storage.uploads.enabled=true"
READER = "api.storage.roleArn=arn:aws:iam::123456789012:role/reader"


def pod(manifests: list[Manifest], component: str) -> dict[str, Any]:
    """Return the pod template of a component's Deployment."""
    template = one(manifests, "Deployment", f"-{component}")["spec"]["template"]
    return dict(template)


def worker(
    manifests: list[Manifest], monkeypatch: pytest.MonkeyPatch, **request: Any
) -> dict[str, Any]:
    """Return the pod template that the operator makes when it is configured so."""
    for name, value in environment(manifests, "operator").items():
        monkeypatch.setenv(name, value)
    asked = {
        "versionId": "v1",
        "model": "demo",
        "source": {"url": "https://audio.example.com/song.wav"},
        "webhook": {"url": "https://hooks.example.com/x"},
    }
    view = SplitJob.of(
        {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": {
                "name": "one",
                "namespace": "audio",
                "uid": "1",
                "resourceVersion": "1",
                "creationTimestamp": "2026-11-29T12:00:00Z",
            },
            "spec": {"request": asked | request},
        }
    )
    built = worker_job.build_job(view, Attempt(number=1, job_name="one-1"), Settings())
    return dict(built["spec"]["template"])


def template_of(
    manifests: list[Manifest], component: str, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    """Return a component's pod template, the worker's as the operator makes it."""
    if component == "worker":
        return worker(manifests, monkeypatch)
    return pod(manifests, component)


def env_of(template: dict[str, Any]) -> dict[str, Any]:
    (only,) = template["spec"]["containers"]
    return {entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in only["env"]}


def images(manifests: list[Manifest]) -> dict[str, str]:
    found = {component: container(manifests, component)["image"] for component in DEPLOYMENTS}
    return {**found, "worker": environment(manifests, "operator")["WORKER_IMAGE"]}


DEMO = "models.resources.demo"
