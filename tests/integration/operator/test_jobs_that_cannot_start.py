"""Clusters with something missing: what a job is told that cannot start there."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from tests.support.operator_harness import Site, site
from tests.support.waiting import eventually

from splitjob_local.cluster.local_cluster import LocalCluster

NONE_OF = {"quota": "pods", "jobs": "count/jobs.batch"}
"""What a quota of a poor site forbids altogether."""


@dataclass
class Poor:
    """A site with something missing, and a SplitJob on it."""

    site: Site
    name: str


POOR = {
    "image": {"WORKER_IMAGE": "nowhere.example.com/nothing:1"},
    "secret": {"WORKER_SECRET_NAME": "not-there"},
    "node": {
        "WORKER_NODE_SELECTOR": json.dumps({"there": "is-none"}),
        "QUEUE_DEADLINE_SECONDS": "20",
    },
    "quota": {"QUEUE_DEADLINE_SECONDS": "20"},
    "jobs": {"QUEUE_DEADLINE_SECONDS": "20"},
    "unlimited": {"QUEUE_DEADLINE_SECONDS": "20"},
    "range": {"QUEUE_DEADLINE_SECONDS": "20"},
}


@pytest.fixture(scope="module")
def poor(crd: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Poor]]:
    """All of them at once: most of what they do is wait."""
    with ExitStack() as stack:
        sites = {}
        for what, settings in POOR.items():
            sites[what] = stack.enter_context(site(crd, tmp_path_factory.mktemp(what)))
            if what in NONE_OF:
                _limit(sites[what], {NONE_OF[what]: "0"})
            if what == "unlimited":
                _limit(sites[what], {"limits.cpu": "100"})
            if what == "range":
                _small_pods_only(sites[what])
            sites[what].launch(**settings)
        for place in sites.values():  # the deadlines must not pass while an operator starts
            eventually(place.operators[0].ready, 60)
        found = {what: Poor(place, place.ask("complete")) for what, place in sites.items()}
        _autoscaler_gives_up(found["node"])
        yield found


def _autoscaler_gives_up(poor: Poor) -> None:
    """Post what cluster-autoscaler posts about a pod that no node group of its fits."""
    [pod] = eventually(lambda: poor.site.pods(poor.name))
    poor.site.kubectl(
        "create",
        "-f-",
        text=json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Event",
                "metadata": {"generateName": f"{pod['metadata']['name']}."},
                "involvedObject": {
                    "apiVersion": "v1",
                    "kind": "Pod",
                    "namespace": poor.site.namespace,
                    "name": pod["metadata"]["name"],
                    "uid": pod["metadata"]["uid"],
                },
                "type": "Normal",
                "reason": "NotTriggerScaleUp",
                "message": "pod didn't trigger scale-up: 1 max node group size reached",
                "source": {"component": "cluster-autoscaler"},
            }
        ),
    )


def _small_pods_only(place: Site) -> None:
    limits = [{"type": "Container", "max": {"memory": "64Mi"}}]
    kind = {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "small"}}
    place.apply({**kind, "spec": {"limits": limits}})


def _limit(place: Site, hard: dict[str, str]) -> None:
    """Set a quota, and wait until it is in force."""
    place.apply(
        {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": "none"},
            "spec": {"hard": hard},
        }
    )
    eventually(lambda: place.get("resourcequota", "none").get("status", {}).get("hard"))


def test_an_image_that_cannot_be_pulled(poor: dict[str, Poor]) -> None:
    """Acceptance 40."""
    here, name = poor["image"].site, poor["image"].name
    event = here.told(name, 60)
    assert event.body["errorCode"] == "worker_image"
    assert f"image {POOR['image']['WORKER_IMAGE']} could not be pulled" in event.body["error"]
    assert "not found" in event.body["error"], "the node's own words"
    assert len(here.ended(name)["attempts"]) == 2


def test_a_secret_of_the_installation_is_missing(poor: dict[str, Poor]) -> None:
    """Acceptance 43."""
    here, name = poor["secret"].site, poor["secret"].name
    assert here.told(name, 60).body["errorCode"] == "worker_config"


def test_an_unschedulable_pod_says_why_and_ends_at_the_deadline(poor: dict[str, Poor]) -> None:
    """Acceptance 41: says why while it waits, no_capacity at the deadline."""
    here, name = poor["node"].site, poor["node"].name
    event = here.told(name, 60)
    assert event.body["errorCode"] == "no_capacity"
    assert "node" in event.body["error"], "the scheduler's own words"
    assert "1 max node group size reached" in event.body["error"], "and the autoscaler's"
    assert "Unschedulable" in here.kubectl("describe", "splitjob", name)
    eventually(lambda: not here.jobs(name) and not here.pods(name))


def test_a_quota_on_pods_says_so_and_ends_at_the_deadline(poor: dict[str, Poor]) -> None:
    """Acceptance 42."""
    here, name = poor["quota"].site, poor["quota"].name
    assert here.told(name, 60).body["errorCode"] == "no_capacity"
    assert "QuotaExceeded" in here.kubectl("describe", "splitjob", name)


def test_a_quota_that_demands_limits(poor: dict[str, Poor]) -> None:
    """Acceptance 42: a quota on CPU limits refuses every pod that has none; it says which."""
    here, name = poor["unlimited"].site, poor["unlimited"].name
    event = here.told(name, 60)
    assert event.body["errorCode"] == "no_capacity"
    assert "failed quota: none: must specify limits.cpu" in event.body["error"]
    assert "QuotaExceeded" in here.kubectl("describe", "splitjob", name)


def test_a_limit_range_that_is_too_small(poor: dict[str, Poor]) -> None:
    """Acceptance 42, where the namespace bounds the memory of each container."""
    here, name = poor["range"].site, poor["range"].name
    event = here.told(name, 60)
    assert event.body["errorCode"] == "no_capacity"
    assert "maximum memory usage per Container is 64Mi" in event.body["error"]
    assert "PodRefused" in here.kubectl("describe", "splitjob", name)


def test_a_job_that_the_api_server_refuses(poor: dict[str, Poor]) -> None:
    """Acceptance 42, where the quota is on Jobs: nothing was ever created, and it says so."""
    here, name = poor["jobs"].site, poor["jobs"].name
    event = here.told(name, 60)
    assert event.body["errorCode"] == "no_capacity"
    assert "exceeded quota" in event.body["error"]
    assert "QuotaExceeded" in here.kubectl("describe", "splitjob", name)
    assert here.jobs(name) == []
