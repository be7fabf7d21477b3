"""Upgraded and uninstalled in the middle of the work, and what an older version has stored."""

import json
import subprocess
from typing import Any

import yaml
from tests.containers.report import Report
from tests.containers.world import World
from tests.support.waiting import comes_true, eventually

from splitjob_local.cluster.service import RELEASE
from splitjob_local.paths import REPOSITORY

# The last commit before the service was run on a real kubelet.
VERSION_BEFORE = "585ab6e"
CRD = "splitjobs.audio.track-tree.com"


def test_upgraded_meanwhile(world: World, report: Report) -> None:
    name = world.ask(world.slow_song(8))
    pod = world.running(name)
    world.upgrade("logLevel=DEBUG", "worker.memory=2Gi")
    report.check("helm upgrade meanwhile", "Completed -> Completed", world.outcome(name))
    report.check("  in the same pod", [pod], world.pods_of(name) or [pod])
    report.check("  final webhooks", 1, world.finals(name))
    world.upgrade()


def test_uninstalled_meanwhile_and_back(world: World, report: Report) -> None:
    name = world.ask(world.slow_song(15))
    world.running(name)
    world.cluster.helm("uninstall", RELEASE, f"--namespace={world.namespace}", "--wait")
    report.check("uninstalled: workers still run", True, bool(world.pods_of(name)))
    report.check(
        "  and are still confined, by the policy of their Job", True, confined(world, name)
    )
    world.install()
    report.check("installed again", "Completed -> Completed", world.outcome(name))
    report.check("  final webhooks", 1, world.finals(name))


def confined(world: World, name: str) -> bool:
    """Whether a NetworkPolicy that is still there is for a job's pods, and closes what goes out."""
    policies = world.cluster.objects.get("networkpolicies", namespace=world.namespace)["items"]
    return any(
        name in json.dumps(one["spec"]["podSelector"]) and "Egress" in one["spec"]["policyTypes"]
        for one in policies
    )


def test_what_an_uninstall_leaves(world: World, report: Report) -> None:
    """The resource, and the SplitJobs with their Secrets; nothing of the chart's own.

    Jobs that are kept for their logs would stay, as it is the operator that cleans them up.
    """
    eventually(lambda: not world.kubectl("get", "jobs", "-o", "name").strip(), 90, pause=0.3)
    world.cluster.helm("uninstall", RELEASE, f"--namespace={world.namespace}", "--wait")
    try:
        report.check("pods after an uninstall", True, comes_true(lambda: pods(world) == "", 60))
        report.check("  and other objects", [], leftovers(world))
    finally:
        world.install()


def pods(world: World) -> str:
    return world.kubectl("get", "pods", "-o", "name").strip()


def leftovers(world: World) -> list[str]:
    """Name the objects of the chart that are still there, the resource and SplitJobs apart."""
    kinds = (
        "deployments,services,configmaps,secrets,serviceaccounts,roles,rolebindings,jobs,"
        "networkpolicies,poddisruptionbudgets,clusterroles,clusterrolebindings"
    )
    selector = f"app.kubernetes.io/instance={RELEASE}"
    found = json.loads(world.kubectl("get", kinds, "-l", selector, "-o", "json"))["items"]
    return sorted(f"{one['kind']}/{one['metadata']['name']}" for one in found if is_of(world, one))


def is_of(world: World, found: dict[str, Any]) -> bool:
    """Whether an object is this release's: one in another namespace has cluster roles as well."""
    annotations: dict[str, str] = found["metadata"].get("annotations", {})
    return annotations.get("meta.helm.sh/release-namespace", world.namespace) == world.namespace


def test_splitjobs_of_the_version_before(world: World, report: Report) -> None:
    """One that was done and one that waits, stored under the resource as it was then."""
    done = world.ask(world.song_url())
    world.outcome(done)
    world.finals(done)
    waiting = world.ask(world.slow_song(30))
    world.running(waiting)
    kept = [stored(world, name) for name in (done, waiting)]
    secret = json.loads(world.kubectl("get", "secret", secret_of(kept[1]), "-o", "json"))
    world.cluster.helm("uninstall", RELEASE, f"--namespace={world.namespace}", "--wait")
    try:
        world.kubectl("delete", "splitjobs", done, waiting)
        eventually(lambda: not world.pods_of(waiting), 60)
        # As Helm did it then. What that resource did not know is left out of what is stored.
        as_helm = ("--server-side", "--field-manager=helm", "--force-conflicts", "-f", "-")
        world.cluster.kubectl("apply", *as_helm, text=yaml.safe_dump(resource_before(world)))
        for document in (secret, *kept):
            unchecked = ("--validate=ignore", "-f", "-")
            world.kubectl("create", *unchecked, text=json.dumps(bare(document)))
        status = json.dumps({"status": kept[0]["status"]})
        change = ("--subresource=status", "--type=merge", "-p", status)
        world.kubectl("patch", "splitjob", done, *change)
    finally:
        world.install()
    outcome = world.outcome(waiting)
    report.check("a waiting job of the version before", "Completed -> Completed", outcome)
    state = world.client.job(done).state.capitalize()  # as the resource spells it
    report.check("a finished one is served as it was", kept[0]["status"]["phase"], state)
    attempts = len(world.status(done).get("attempts", []))
    report.check("  and is not run again", len(kept[0]["status"]["attempts"]), attempts)


def stored(world: World, name: str) -> dict[str, Any]:
    return json.loads(world.kubectl("get", "splitjob", name, "-o", "json"))  # type: ignore[no-any-return]


def secret_of(splitjob: dict[str, Any]) -> str:
    return str(splitjob["spec"]["request"]["secretName"])


def bare(document: dict[str, Any]) -> dict[str, Any]:
    """Return an object as it would be made anew."""
    kept = {
        key: document["metadata"][key]
        for key in ("name", "namespace", "labels", "annotations")
        if key in document["metadata"]
    }
    rest = {key: value for key, value in document.items() if key != "status"}
    return {**rest, "metadata": kept}


def resource_before(world: World) -> dict[str, Any]:
    """Return the CustomResourceDefinition as it was, in the place of the one that is there."""
    path = f"{VERSION_BEFORE}:charts/track-tree-audio/files/crd.yaml"
    shown = subprocess.run(
        ["git", "-C", REPOSITORY, "show", path], check=True, capture_output=True, text=True
    )
    before: dict[str, Any] = yaml.safe_load(shown.stdout)
    now = json.loads(world.cluster.kubectl("get", "crd", CRD, "-o", "json"))["metadata"]
    kept = ("name", "labels", "annotations")
    return {**before, "metadata": {key: now[key] for key in kept if key in now}}
