"""What the tests of the chart share that need an API server."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from tests.support import chart
from tests.support.chart import Render
from tests.support.namespaces import new_namespace

from splitjob_local.cluster.local_cluster import LocalCluster


@pytest.fixture
def restricted(cluster: LocalCluster) -> Iterator[str]:
    """A namespace that takes only pods fit for Pod Security `restricted`."""
    with new_namespace(cluster, "restricted", "restricted") as name:
        yield name


@pytest.fixture
def render(cluster: LocalCluster, restricted: str, tmp_path: Path) -> Render:
    """Renders the chart for the namespace `restricted`."""
    helm = cluster.cluster.programs["helm"]
    return partial(chart.render, helm, tmp_path, namespace=restricted)
