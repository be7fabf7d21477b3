"""The node and what lives on it: drained, killed, taken away under the work."""

import signal

from tests.containers.report import Report
from tests.containers.rotating import Rotating
from tests.containers.world import World
from tests.support.waiting import eventually

from splitjob_local.containers.node_processes import KUBELET, NODE


def test_a_pod_deleted_by_force(world: World, report: Report) -> None:
    name = world.ask(world.slow_song(5))
    world.kubectl("delete", "pod", world.running(name), "--force", "--grace-period=0")
    outcome = world.outcome(name)
    report.check("pod deleted by force", "WorkerDisrupted Completed -> Completed", outcome)
    report.check("  final webhooks", 1, world.finals(name))


def test_the_operator_deleted(world: World, report: Report) -> None:
    name = world.ask(world.slow_song(5))
    world.running(name)
    world.kubectl("delete", "pod", world.pod_of("operator")["metadata"]["name"], "--wait=false")
    report.check("operator deleted meanwhile", "Completed -> Completed", world.outcome(name))
    report.check("  final webhooks", 1, world.finals(name))


def test_a_drained_node_ends_the_attempt_and_not_the_job(world: World, report: Report) -> None:
    name = world.ask(world.slow_song(20))
    world.running(name)
    # A budget keeps one API pod, and there is no other node: only the worker leaves.
    selector = f"--pod-selector=audio.track-tree.com/splitjob={name}"
    world.cluster.kubectl("drain", NODE, selector, "--delete-emptydir-data", "--timeout=60s")
    world.cluster.kubectl("uncordon", NODE)
    outcome = world.outcome(name)
    report.check("node drained", "WorkerDisrupted Completed -> Completed", outcome)
    report.check("  final webhooks", 1, world.finals(name))


def test_a_killed_kubelet_loses_the_attempt_and_not_the_job(world: World, report: Report) -> None:
    """The node is lost; the worker's word, should it come later, changes nothing."""
    name = world.ask(world.slow_song(150))
    world.running(name)
    world.kube.processes.stop(KUBELET, signal.SIGKILL)
    try:
        eventually(lambda: world.status(name)["attempts"][0].get("reason"), 150)
    finally:
        world.kube.processes.restart(KUBELET)
    outcome = world.outcome(name)
    report.check("kubelet killed", "WorkerLost Completed -> Completed", outcome)
    report.check("  final webhooks", 1, world.finals(name))


def test_an_installation_with_short_tokens(rotating: Rotating, report: Report) -> None:
    """Its first tokens end while the other tests run; see test_7_rotation."""
    report.check("a second installation is ready", 2, len(rotating.pods))
