"""The fence: who does not lead, or may not lead any more, changes nothing in the cluster."""

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from splitjob_kube.errors import KubernetesError
from splitjob_operator.adapters.kubernetes import KubernetesAdapter

READS = {
    *("unmet", "splitjob", "splitjobs", "readers", "job", "jobs", "pods", "log_tail", "node"),
    *("secret", "metadata", "events", "autoscaler_events", "configmap"),
    *("latest_version", "changes", "workload"),
}
LEASE = {"lease", "write_lease"}  # written by who would lead
SEEN = {"metadata": {"name": "a", "uid": "u", "resourceVersion": "1"}}
WRITES: dict[str, Callable[[KubernetesAdapter], object]] = {
    "write_status": lambda k: k.write_status(SEEN, {}),
    "delete_splitjob": lambda k: k.delete_splitjob(SEEN),
    "create_job": lambda k: k.create_job(SEEN),
    "create_network_policy": lambda k: k.create_network_policy(SEEN),
    "delete_job": lambda k: k.delete_job("a", "u", "Foreground"),
    "delete_pod": lambda k: k.delete_pod("a", "u", force=True),
    "own_secret": lambda k: k.own_secret(SEEN, {}),
    "delete_secret": lambda k: k.delete_secret(SEEN),
    "create_event": lambda k: k.create_event(SEEN),
    "set_workload_active": lambda k: k.set_workload_active("u", active=True),
    "write_configmap": lambda k: k.write_configmap(SEEN),
}


class Fenced(KubernetesAdapter):
    """An adapter behind a closed fence, whose client would tell of any call."""

    def __init__(self) -> None:
        self.namespace = "audio"
        self._client: Any = Anything()

    def _fence(self) -> None:
        raise KubernetesError("another operator leads")


class Anything:
    """A client of which every method is there, and may not be called."""

    def __getattr__(self, name: str) -> "Anything":
        return self

    def __call__(self, *_: object, **__: object) -> None:
        raise AssertionError("the API server was called")


@pytest.mark.parametrize("name", WRITES)
def test_no_write_goes_past_a_closed_fence(name: str) -> None:
    with pytest.raises(KubernetesError, match="another operator leads"):
        WRITES[name](Fenced())


def test_every_method_reads_or_is_fenced() -> None:
    methods = inspect.getmembers(KubernetesAdapter, inspect.isfunction)
    public = {name for name, _ in methods if not name.startswith("_")}
    assert public == READS | LEASE | WRITES.keys()
