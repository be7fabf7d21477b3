"""The acceptance run on a real kubelet: one cluster, the service installed from its own images.

Not part of `make test`: `make e2e-containers` runs it, as root, on Linux. Each check is told on a
line of its own while it runs, and the figures at the end.
"""

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import yaml
from tests.containers.report import Report
from tests.containers.rotating import READ_TOKEN, Rotating, expiry, short_tokens
from tests.containers.world import World, service_address, song_of
from tests.support.web import web_server

from splitjob_client import Client
from splitjob_local.cluster.local_cluster import ClusterOptions, LocalCluster
from splitjob_local.cluster.service import Service
from splitjob_local.containers.container_cluster import ContainerCluster

NAMESPACE = "track-tree-audio"
SECONDS_OF_SONG = 8.0

REPORT = pytest.StashKey[Report]()


def pytest_configure(config: pytest.Config) -> None:
    """Make the one report of this run."""
    config.stash[REPORT] = Report(config)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print the figures."""
    figures = config.stash[REPORT].figures
    if figures:
        terminalreporter.section("figures")
    for what, (value, goal, unit) in figures.items():
        mark = "" if value <= goal else "  MISSED"
        terminalreporter.write_line(f"{what:55} {value:8.1f} {unit:3} goal {goal:g}{mark}")


@pytest.fixture(scope="session")
def report(pytestconfig: pytest.Config) -> Report:
    """Tells what is checked."""
    return pytestconfig.stash[REPORT]


@pytest.fixture(scope="session")
def cluster(report: Report) -> Iterator[LocalCluster]:
    """A bare cluster whose node runs containers."""
    started = time.monotonic()
    options = ClusterOptions(install=False, namespace=NAMESPACE)
    with ContainerCluster(options, report.say) as cluster:
        report.figure("cluster up", time.monotonic() - started, 40)
        yield cluster


@pytest.fixture(scope="session")
def installed(cluster: ContainerCluster, report: Report) -> Service:
    """The service, installed as `helm install` puts it there."""
    started = time.monotonic()
    cluster.images.provide()
    report.say(f"     images are there after {time.monotonic() - started:.1f} s more")
    started = time.monotonic()
    cluster.service.install((), ("queue.keepFinishedJobsSeconds=20",), cluster.folder)
    cluster.service.wait_until_ready()
    up = report.figures["cluster up"][0]
    report.figure("cluster up and service ready", up + time.monotonic() - started, 40)
    return cluster.service


@pytest.fixture(scope="session")
def world(cluster: ContainerCluster, installed: Service, report: Report) -> Iterator[World]:
    """A caller, a source of songs and a receiver, for the whole run."""
    with (
        Client(f"http://{service_address(cluster, installed)}", installed.token) as client,
        web_server(installed.source_host, installed.receiver_identity) as web,
    ):
        world = World(cluster, installed, client, web, song_of(SECONDS_OF_SONG), report=report)
        world.listen()
        yield world
        world.hang_up()


@pytest.fixture(scope="session")
def rotating(world: World, report: Report) -> Iterator[Rotating]:
    """The same service in another namespace, with tokens of ten minutes."""
    service = replace(world.service, namespace="rotating")
    values = world.kube.folder / "values-of-rotating.yaml"
    values.write_text(yaml.safe_dump(short_tokens()))
    service.install([values], ("crds.enabled=false",), world.kube.folder)
    service.wait_until_ready()
    with Client(f"http://{service_address(world.kube, service)}", service.token) as client:
        other = replace(world, service=service, client=client)
        pods = {name: other.pod_of(name)["metadata"]["name"] for name in ("api", "operator")}
        tokens = [other.exec(pod, READ_TOKEN) for pod in pods.values()]
        yield Rotating(other, pods, max(expiry(token) for token in tokens))
