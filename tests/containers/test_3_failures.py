"""What only a kernel and a kubelet can do to a worker: memory, disk, images."""

import pytest
from tests.containers.memory import kill_by_memory, memory_group
from tests.containers.report import Report
from tests.containers.world import World, song_of, trickle
from tests.support.waiting import eventually
from tests.support.web import in_turn

from splitjob_client import JobQueue

KILLED = 128 + 9


def test_out_of_memory(world: World, report: Report) -> None:
    with world.settings("worker.memory=200Mi", "worker.memoryRetry=3Gi"):
        name = world.ask(world.song_url())
        outcome = world.outcome(name)
        report.check("out of memory", "WorkerOom Completed -> Completed", outcome)
        memory = world.status(name)["attempts"][1]["memoryBytes"]
        report.check("  memory of the second attempt", 3 << 30, memory)
        report.check("  final webhooks", 1, world.finals(name))


def test_the_decoder_alone_is_killed_for_memory(world: World, report: Report) -> None:
    """The kernel ends the decoder, a child of the worker's; the worker lives and says so."""
    with world.settings("worker.memory=5Gi"):
        twice = in_turn(trickle(song_of(500), 0), trickle(world.song, 0))
        name = world.ask(world.web.serve("/long.wav", twice))
        [decoder] = eventually(
            lambda: world.processes("splitjob_worker.source.decoder_process"), 90
        )
        decoder.suspend()  # it would be done in a moment
        group = memory_group(decoder.pid)
        if group is None:
            pytest.skip(
                "with control groups of version 2 a kubelet ends all processes of a container"
            )
        pod = world.pods_of(name)[-1]
        killed = kill_by_memory(world, pod, decoder, group)
        report.check("the kernel ends the decoder for memory", True, killed)
        status = eventually(lambda: exit_status(world, pod))
        report.check("  and the worker ends by itself, not by a signal", True, status < KILLED)
        report.check("  its job", "WorkerOom Completed -> Completed", world.outcome(name))


def exit_status(world: World, pod: str) -> int:
    """Return the exit status of a pod's worker; 0 while it runs."""
    status = world.cluster.objects.get("pod", pod, namespace=world.namespace)["status"][
        "containerStatuses"
    ][0]
    return int(status["state"].get("terminated", {}).get("exitCode", 0))


def test_the_scratch_disk_overfilled(world: World, report: Report) -> None:
    """The kubelet evicts a pod whose volume holds more than it may, or the worker sees it first."""
    with world.settings("worker.scratchSize=40Mi"):
        name = world.ask(world.web.give("/large.wav", song_of(120)))
        report.check("scratch overfilled", "WorkerStorage -> Failed", world.outcome(name))
        report.check("  final webhooks", 1, world.finals(name))


def test_an_image_that_is_not_there_and_then_is(world: World, report: Report) -> None:
    world.upgrade("worker.image.tag=nosuch")
    name = world.ask(world.song_url())
    eventually(lambda: "nosuch" in waits(world, name).message, 60)
    report.check("image missing: why it waits", "PullingImage", waits(world, name).reason)
    world.upgrade()
    outcome = world.outcome(name)
    report.check("image missing, then there", "WorkerImage Completed -> Completed", outcome)


def waits(world: World, name: str) -> JobQueue:
    """Return what the API says of why a job waits."""
    return world.client.job(name).queue or JobQueue()
