"""What the documentation and the values files for clouds say about the chart is true of it."""

import json
import os
import re
import string
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support.chart import CHART, Render, environment

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
DOTTED = re.compile(r"`(\w+(?:\.\w+)+)(?::[^`]*)?`")
# Fields of SplitJobs and answers, and files of the code that begin like values of the chart.
NOT_VALUES = {
    *("audio.duration", "queue.reason", "queue.retryAt", "source.secretKey"),
    *("storage.py", "worker.log"),
}


def is_value(path: str) -> bool:
    """Whether the chart knows a value of this path; below an empty map anything may stand."""
    node: Any = VALUES
    for key in path.split("."):
        if node == {}:
            return True
        if not isinstance(node, dict) or key not in node:
            return False
        node = node[key]
    return True


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_values_that_a_page_names_are_in_the_chart(page: Path) -> None:
    named = {path for path in DOTTED.findall(page.read_text()) if path.split(".")[0] in VALUES}
    wrong = sorted(path for path in named - NOT_VALUES if not is_value(path))
    assert not wrong


def test_a_value_that_is_not_there_is_noticed() -> None:
    assert is_value("worker.gpu.count")
    assert not is_value("worker.gpu.number")


NAME = re.compile(r"\baudio-track-tree-audio-(?!\$)[a-z-]+")


def test_objects_that_a_page_names_are_made_by_the_chart(render: Render) -> None:
    manifests = render(release="audio")
    made = {manifest["metadata"]["name"] for manifest in manifests}
    made.add(environment(manifests, "operator")["TOTALS_CONFIGMAP"])  # the operator makes it
    named = {name for page in PAGES for name in NAME.findall(page.read_text())}
    assert {"audio-track-tree-audio-api", "audio-track-tree-audio-worker"} <= named
    assert named <= made


HEREDOC = re.compile(r"cat > (?P<name>\S+) <<EOF\n(?P<text>.*?)^EOF$", re.MULTILINE | re.DOTALL)
CLOUDS = sorted(file.stem.removeprefix("values-") for file in CHART.glob("values-*.yaml"))
CLOUDS.remove("local")
ON_TOP = ["kueue", "mig", "spot"]  # of the file of any cloud
CLOUDS = [name for name in CLOUDS if name not in ON_TOP]
# What the shell would put in place of the reader's variables.
GIVEN = {
    "S3_ENDPOINT": "https://s3.example.com",
    "S3_REGION": "auto",
    "S3_BUCKET": "my-stems",
    "WEBHOOK": "https://api.example.com/webhooks/stems",
    "REGISTRY": "registry.example.com",
    "ACCOUNT": "123456789012",
}


def written_by(page: Path) -> dict[str, str]:
    """Return the files that the commands of a page write, by name, as a shell would write them."""
    found = {}
    for file in HEREDOC.finditer(page.read_text()):
        text = file["text"].replace("${ISSUER#https://}", "issuer.example.com")
        found[file["name"]] = string.Template(text).substitute(GIVEN)
    return found


@pytest.mark.parametrize(
    "page", sorted((DOCS / "install").glob("*.md")), ids=lambda page: page.stem
)
def test_files_that_a_page_writes_can_be_read(page: Path) -> None:
    for name, text in written_by(page).items():
        loaded = json.loads(text) if name.endswith(".json") else yaml.safe_load(text)
        assert isinstance(loaded, dict)


@pytest.mark.parametrize("cloud", [*CLOUDS, "any-cluster"])
def test_the_chart_takes_the_values_of_a_page(render: Render, tmp_path: Path, cloud: str) -> None:
    own = tmp_path / "audio-values.yaml"
    own.write_text(written_by(DOCS / "install" / f"{cloud}.md")[own.name])
    files = [CHART / f"values-{cloud}.yaml"] if cloud in CLOUDS else []
    manifests = render(files=[*files, own], needed=())
    images = {
        container["image"]
        for manifest in manifests
        if manifest["kind"] == "Deployment"
        for container in manifest["spec"]["template"]["spec"]["containers"]
    }
    assert {image.partition("/")[0] for image in images} == {GIVEN["REGISTRY"]}


@pytest.mark.parametrize("name", ON_TOP)
@pytest.mark.parametrize("cloud", CLOUDS)
def test_a_values_file_goes_on_top_of_that_of_any_cloud(
    render: Render, cloud: str, name: str
) -> None:
    files = [CHART / f"values-{cloud}.yaml", CHART / f"values-{name}.yaml"]
    operator = environment(render(files=files), "operator")
    own = yaml.safe_load(files[1].read_text())
    assert json.loads(operator["WORKER_TOLERATIONS"]) == own["worker"]["tolerations"]


def test_the_chart_takes_the_values_that_the_readme_gives(helm: Path, tmp_path: Path) -> None:
    text = (ROOT / "README.md").read_text().partition("## Install it")[2]
    install = text.partition("\nhelm install")[2].partition("\n```")[0]
    homes = {name: str(tmp_path) for name in ("HELM_CACHE_HOME", "HELM_CONFIG_HOME")}
    path = f"{helm.parent}:{os.environ['PATH']}"
    rendered = subprocess.run(
        ["bash", "-euc", f"helm template{install}"],
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
        env={**os.environ, **homes, **GIVEN, "PATH": path},
    )
    assert rendered.returncode == 0, rendered.stdout
    assert f"{GIVEN['REGISTRY']}/track-tree-audio/api:" in rendered.stdout


EXAMPLE = re.compile(r"^# (?P<key>\w+):\n(?:#  .*\n)+", re.MULTILINE)


@pytest.mark.parametrize("cloud", CLOUDS)
def test_the_chart_takes_the_examples_in_a_values_file(
    render: Render, tmp_path: Path, cloud: str
) -> None:
    text = (CHART / f"values-{cloud}.yaml").read_text()
    [(key, commented)] = [(found["key"], found[0]) for found in EXAMPLE.finditer(text)]
    example = tmp_path / "example.yaml"
    example.write_text(re.sub(r"^# ?", "", commented, flags=re.MULTILINE))
    manifests = render(files=[CHART / f"values-{cloud}.yaml", example])
    kind = {"ingress": "Ingress", "httpRoute": "HTTPRoute"}[key]
    [outside] = [manifest for manifest in manifests if manifest["kind"] == kind]
    assert ".example.com" in json.dumps(outside["spec"])
