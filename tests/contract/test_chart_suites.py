"""The chart's own suites, run by helm-unittest, and kept out of what is installed."""

import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from tests.support.chart import CHART
from tests.support.chart_tools import UNITTEST, find_tool

from splitjob_local.cluster.kubectl import FEW_COLLECTIONS
from splitjob_local.processes.supervised import clean_environment
from splitjob_local.programs.gobuild import GoBuildError


@pytest.fixture(scope="module")
def unittest() -> Path:
    try:
        return find_tool(UNITTEST, print)
    except GoBuildError as error:
        pytest.skip(f"helm-unittest cannot be built on this machine: {error}")


def run(unittest: Path, chart: Path, home: Path) -> subprocess.CompletedProcess[str]:
    names = ("HOME", "HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME")
    return subprocess.run(
        [unittest, "--strict", chart],
        check=False,
        capture_output=True,
        text=True,
        env=clean_environment(**dict.fromkeys(names, str(home)), **FEW_COLLECTIONS),
    )


def test_the_suites_of_helm_unittest_pass(unittest: Path, tmp_path: Path) -> None:
    ran = run(unittest, CHART, tmp_path)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    suites = len(list((CHART / "tests").glob("*_test.yaml")))
    assert re.search(rf"Test Suites: {suites} passed, {suites} total", ran.stdout)


def test_the_suites_of_helm_unittest_notice_a_chart_that_is_wrong(
    unittest: Path, tmp_path: Path
) -> None:
    """Else they would pass for want of looking."""
    chart = shutil.copytree(CHART, tmp_path / CHART.name)
    template = chart / "templates/api-deployment.yaml"
    guarded = "{{- if not .Values.api.autoscaling.enabled }}"
    assert guarded in template.read_text()
    template.write_text(template.read_text().replace(guarded, "{{- if true }}"))
    ran = run(unittest, chart, tmp_path)
    assert ran.returncode != 0
    assert "leaves their number to the autoscaler, where there is one" in ran.stdout


def test_suites_are_not_packaged_but_the_test_of_helm_is(helm: Path, tmp_path: Path) -> None:
    homes = dict.fromkeys(("HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"), str(tmp_path))
    subprocess.run(
        [helm, "package", CHART, f"--destination={tmp_path}"],
        check=True,
        capture_output=True,
        env=clean_environment(**homes),
    )
    (package,) = tmp_path.glob("*.tgz")
    with tarfile.open(package) as archive:
        names = archive.getnames()
    assert "track-tree-audio/templates/tests/api.yaml" in names
    assert [name for name in names if "/tests/" in name and "/templates/" not in name] == []
