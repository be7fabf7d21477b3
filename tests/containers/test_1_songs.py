"""What a newcomer does first: `helm test`, a song, a look at the logs."""

import json
import re
import time
from datetime import datetime

from tests.containers.report import Report
from tests.containers.world import World
from tests.support.waiting import comes_true

from splitjob_local.cluster.kubectl import KubectlError
from splitjob_local.containers.containerd import Containerd
from splitjob_local.containers.service_images import PREFIX


def test_the_service_answers_and_its_test_leaves_nothing(world: World, report: Report) -> None:
    said = world.cluster.helm("test", "track-tree-audio", f"--namespace={world.namespace}")
    report.check("helm test", "Succeeded", re.findall(r"Phase:\s+(\w+)", said)[-1])
    left = world.kubectl("get", "pods", "--selector=app.kubernetes.io/component=test", "-o", "name")
    report.check("  pods that it leaves", "", left.strip())


def test_a_song_from_request_to_cleaned_up_job(world: World, report: Report) -> None:
    name = world.ask(world.song_url())
    report.check("a song", "Completed -> Completed", world.outcome(name))
    report.check("  its stems with the right checksum", 4, world.good_stems(name))
    report.check("  final webhooks", 1, world.finals(name))
    report.check("  it says", "completed", world.final(name)["status"])
    log = world.kubectl("logs", f"job/{name}-1")
    report.check("  the worker's log after its end has progress", True, '"progress":true' in log)

    def is_gone() -> bool:
        return not world.exists("job", f"{name}-1")

    report.check("  its Job is cleaned up later", True, comes_true(is_gone, 90))


def test_how_soon_a_song_is_in_the_model(world: World, report: Report) -> None:
    """From the pod's creation to the first segment; the image is on the node."""
    what = "jsonpath={.type} {.object.metadata.name}{'\\n'}"
    with world.started("get", "pods", "--watch", "--output-watch-events", "-o", what) as watch:
        name = world.ask(world.song_url())
        assert watch.stdout is not None
        next(line for line in watch.stdout if line.startswith(f"ADDED {name}"))
        created = time.time()
    world.outcome(name)
    first = first_segment(world.kubectl("logs", "--timestamps", f"job/{name}-1"))
    report.figure("pod created to first segment in the model", first - created, 6)


def test_how_much_a_change_of_code_moves(world: World, report: Report) -> None:
    """The project's own code is the last layer of each image, and the only one that changes."""
    tags = world.containers.images.provide()
    for name, tag in tags.items():
        size = layer_sizes(world.containers.containerd, f"{PREFIX}/{name}:{tag}")[-1]
        report.figure(f"layer with the code of {name}", size / 1e6, 5, "MB")


def layer_sizes(containerd: Containerd, image: str) -> list[int]:
    """Return the sizes of an image's layers in bytes, uncompressed, from the bottom up."""
    lines = containerd.ctr("images", "list").splitlines()
    digest = next(line.split()[2] for line in lines if line.startswith(f"{image} "))
    manifest = json.loads(containerd.ctr("content", "get", digest))
    return [layer["size"] for layer in manifest["layers"]]


def first_segment(log: str) -> float:
    """Return when the separation began, in seconds since the epoch, by the worker's log."""
    for line in log.splitlines():
        stamp, _, said = line.partition(" ")
        if said.startswith("{") and json.loads(said).get("stage") == "separate":
            return datetime.fromisoformat(stamp[:26] + "+00:00").timestamp()
    raise KubectlError(f"no separation in the log:\n{log}")
