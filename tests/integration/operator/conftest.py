"""What the tests of the operator on a real cluster share."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.operator_harness import Site, site

from splitjob_local.cluster.local_cluster import LocalCluster


@pytest.fixture
def here(crd: LocalCluster, tmp_path: Path) -> Iterator[Site]:
    """A namespace of this test's own; no operator runs in it yet."""
    with site(crd, tmp_path) as place:
        yield place
