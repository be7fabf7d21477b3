"""What the contract tests share: the chart, rendered by helm without a cluster."""

from functools import partial
from pathlib import Path

import pytest
from tests.support import chart
from tests.support.chart import Manifest, Render

from splitjob_local.programs.binaries import find_binaries


@pytest.fixture(scope="session")
def helm() -> Path:
    """The program."""
    return find_binaries(print)["helm"]


@pytest.fixture(scope="session")
def render(helm: Path, tmp_path_factory: pytest.TempPathFactory) -> Render:
    """A function that renders the chart with some values and returns its manifests."""
    return partial(chart.render, helm, tmp_path_factory.mktemp("helm"))


@pytest.fixture(scope="session")
def manifests(render: Render) -> list[Manifest]:
    """The chart with the fewest values."""
    return render()
