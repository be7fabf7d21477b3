"""What the tests share: one cluster for the whole run, started when the first test asks for it.

`bare`       a real cluster without the service or its resource, for who brings and removes them
`cluster`    a real cluster on this machine, without the service
`crd`        the same with the SplitJob resource on it
`namespace`  a new namespace on it for each test
`collector`  a collector of traces, which the service tells those whose caller keeps them
`installed`  the service, installed once with helm, in a namespace of its own
"""

import gc
import os
import sys
from collections.abc import Generator, Iterator
from contextlib import ExitStack, suppress
from typing import Any

import hypothesis
import pytest
from tests.support.chart_tools import HELM3, UNITTEST, find_tool
from tests.support.definition import establish
from tests.support.examples import examples
from tests.support.namespaces import new_namespace
from tests.support.otlp import Collector, collecting
from tests.support.preloads import preloads
from tests.support.scheduling import FromBothEnds, is_on_a_bare_cluster, place
from tests.support.waiting import patience

from splitjob.crd import custom_resource_definition
from splitjob_local.cluster.local_cluster import ClusterOptions, LocalCluster
from splitjob_local.cluster.service import Service
from splitjob_local.node_kinds import cluster_class
from splitjob_local.programs.binaries import find_binaries
from splitjob_local.programs.gobuild import GoBuildError

NAMESPACE = "track-tree-audio"
BARE_CLUSTER = pytest.StashKey[ExitStack]()

# Several tests run at once, so that torch's threads never have the machine for themselves: they
# sleep while they wait. Before any of them imports torch, and for the programs that they start.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# How long an example takes says more about what else the machine does than about the code.
hypothesis.settings.register_profile("project", deadline=None, max_examples=examples(100))
hypothesis.settings.load_profile("project")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the tests of the whole path run on either kind of node."""
    parser.addoption(
        "--node",
        choices=("processes", "containers"),
        default="processes",
        help="how the cluster's node runs pods; containers: a real kubelet (Linux, root)",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Measure how fast the machine is, once and before its processors are busy with tests."""
    limit = float(config.getini("timeout"))
    os.environ.setdefault("PYTEST_TIMEOUT", f"{patience(limit):.0f}")


def say(text: str) -> None:
    """Tell whoever runs the tests, past pytest's capturing."""
    print(f"\ncluster: {text}", file=sys.__stderr__, flush=True)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Look for no garbage meanwhile, nor later in what is collected: it stays to the end."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put them into the order in which they are begun."""
    items.sort(key=lambda item: place(item.nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> FromBothEnds | None:
    """Let `--dist loadscope` give out whole files from both ends of that order."""
    return FromBothEnds(config, log) if config.getvalue("dist") == "loadscope" else None


def pytest_collection_finish(session: pytest.Session) -> None:
    """Get the control plane before the first test, whose time limit is not made for a build."""
    wanted = any(
        {"cluster", "bare"} & {*getattr(item, "fixturenames", ())} for item in session.items
    )
    if session.config.option.collectonly:
        return
    if wanted:
        find_binaries(say)
    for tool in (HELM3, UNITTEST):
        if any(tool.name.replace("-", "_") in item.name for item in session.items):
            with suppress(GoBuildError):  # the tests that want it are skipped then, and say so
                find_tool(tool, say)


@pytest.fixture(scope="session")
def on_containers(pytestconfig: pytest.Config) -> bool:
    """Whether the cluster's node is a real kubelet."""
    return bool(pytestconfig.getoption("node") == "containers")


@pytest.fixture(scope="session")
def bare(pytestconfig: pytest.Config) -> Iterator[LocalCluster]:
    """A cluster that has never heard of SplitJobs, and is left like that.

    Their definition is of the whole cluster, so that the tests which bring and remove it cannot run
    beside those of `installed`. `scheduling` lets one worker run the files that want this.
    """
    with ExitStack() as ending:
        pytestconfig.stash[BARE_CLUSTER] = ending
        options = ClusterOptions(install=False, namespace="audio", node_arguments=preloads())
        yield ending.enter_context(LocalCluster(options, say))


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """End the bare cluster after the last file that wants it, as it costs something at rest."""
    if nextitem is not None and not is_on_a_bare_cluster(nextitem.nodeid):
        item.config.stash.get(BARE_CLUSTER, ExitStack()).close()


@pytest.fixture(scope="session")
def cluster(on_containers: bool) -> Iterator[LocalCluster]:
    """A cluster without the service; two GPUs, so that two workers can run at once."""
    arguments = () if on_containers else preloads()
    options = ClusterOptions(install=False, gpus=2, namespace=NAMESPACE, node_arguments=arguments)
    with cluster_class(containers=on_containers)(options, say) as started:
        yield started


@pytest.fixture(scope="session")
def crd(cluster: LocalCluster, on_containers: bool) -> LocalCluster:
    """The cluster with the SplitJob resource, made so that a later `helm install` adopts it.

    Where the whole service comes as containers, Helm brings the resource as well.
    """
    if on_containers:
        return cluster
    definition = custom_resource_definition()
    metadata = definition["metadata"]
    metadata["labels"] = {"app.kubernetes.io/managed-by": "Helm"}
    metadata["annotations"] = {
        "meta.helm.sh/release-name": NAMESPACE,
        "meta.helm.sh/release-namespace": NAMESPACE,
    }
    establish(cluster.objects, definition, field_manager="helm")
    return cluster


@pytest.fixture
def namespace(cluster: LocalCluster) -> Iterator[str]:
    """A new namespace; pods in it may be of any kind, and are ended afterwards."""
    with new_namespace(cluster, "test", "privileged") as name:
        yield name


@pytest.fixture(scope="session")
def collector(crd: LocalCluster) -> Iterator[Collector]:
    """A collector of traces."""
    with collecting(crd.service.source_host, crd.service.receiver_identity) as collector:
        yield collector


@pytest.fixture(scope="session")
def installed(crd: LocalCluster, collector: Collector) -> Service:
    """The service as shipped, shared by the tests that use it from outside."""
    # Replicas have their own tests; songs of half a minute are long enough for checkpoints here.
    settings = ["operator.replicas=1", "worker.checkpointMinSeconds=20"]
    settings.append(f"tracing.endpoint={collector.url}")
    for program in ("api", "operator"):  # a caller who says nothing has nothing traced
        settings += [
            f"{program}.extraEnv[0].name=OTEL_TRACES_SAMPLER",
            f"{program}.extraEnv[0].value=parentbased_always_off",
        ]
    crd.service.install((), settings, crd.folder)
    crd.service.wait_until_ready()
    return crd.service
