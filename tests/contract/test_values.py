"""Values of the chart that are wrong, blank or null: refused in words, or the default."""

import re
from pathlib import Path

import pytest
import yaml
from tests import chart
from tests.chart import CHART, NEEDED, ChartRefused, Manifest, Render

from splitjob.models import load_registry

SERVICE_NAME = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")  # RFC 1035, as Services demand
OBJECT_NAME = re.compile(r"[a-z0-9]([-a-z0-9.:]{0,251}[a-z0-9])?")
LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
# As Helm allows them: up to 53 characters, dots, digits first, and what YAML takes for no text.
RELEASES = [
    "audio",
    "audio-1.2",
    "3stems",
    "123",
    "1e3",
    "true",
    "null",
    "a-track-tree-audio",
    "3.track-tree-audio",
    "a" * 53,
    "a" * 39 + ".b-c",
    "9" * 53,
]


@pytest.fixture(scope="session")
def named(tmp_path_factory: pytest.TempPathFactory, helm: Path) -> Render:
    """A function that renders the chart for a release of some name."""
    home = tmp_path_factory.mktemp("names")

    def render(release: str, *settings: str) -> list[Manifest]:
        return chart.render(helm, home, *settings, release=release)

    return render


@pytest.mark.parametrize("release", RELEASES)
def test_every_release_name_makes_names_and_labels_that_kubernetes_takes(
    named: Render, release: str
) -> None:
    for manifest in named(release, "models.offered={demo}"):
        name, labels = manifest["metadata"]["name"], manifest["metadata"].get("labels", {})
        form = SERVICE_NAME if manifest["kind"] == "Service" else OBJECT_NAME
        assert form.fullmatch(name), manifest["kind"]
        for key, value in labels.items():
            assert isinstance(value, str), key
            assert LABEL_VALUE.fullmatch(value), key


@pytest.mark.parametrize("name", ["Track_Tree", "3a", "a.b", "a" * 41])
@pytest.mark.parametrize("override", ["nameOverride", "fullnameOverride"])
def test_an_override_that_makes_no_names_is_refused(
    render: Render, override: str, name: str
) -> None:
    with pytest.raises(ChartRefused) as refused:
        render(f"{override}={name}")
    assert f"at '/{override}'" in str(refused.value)


def test_no_override_changes_what_selects_the_pods(named: Render) -> None:
    """An upgrade cannot change the selector of a Deployment."""

    def selectors(manifests: list[Manifest]) -> list[object]:
        return [m["spec"]["selector"] for m in manifests if m["kind"] in {"Deployment", "Service"}]

    before = selectors(named("audio"))
    assert selectors(named("audio", "nameOverride=x", "fullnameOverride=y")) == before
    assert selectors(named("audio", "commonLabels.team=songs")) == before


# What only the whole of the values shows, and what the schema's own words would not help with.
REFUSED = {
    "worker.memory=512m": "worker.memory is 512m, which is not between 1Mi and 1Pi",
    "worker.memoryRetry=6k": "worker.memoryRetry is 6k, which is not between",
    "worker.scratchSize=1e99": "worker.scratchSize is 1e99, which is not between",
    "worker.cpu=2k": "worker.cpu is 2k, which is not between 1m and 1024 cores",
    "worker.memory=16Gi": "worker.memory (16Gi) is above worker.memoryRetry (12Gi)",
    "api.resources.requests.memory=1Gi": "api.resources.requests.memory (1Gi) is above its limit",
    "worker.serviceAccount.create=false": "worker.serviceAccount.name is blank",
    "models.offered={demo,nope}": "models.offered has nope, which the registry has not",
    "environment=local,webhooks.allowlist={http://example.com}": "http goes to loopback",
    "secrets.token= x": "secrets.token begins or ends with a blank or a newline",
    "secrets.token=whsec_x": "does not go on with base64",
    "secrets.s3AccessKeyId=a b,secrets.s3SecretAccessKey=c": "secrets.s3AccessKeyId holds a blank",
}


@pytest.mark.parametrize("setting", REFUSED)
def test_what_the_schema_cannot_say_is_refused_in_words(render: Render, setting: str) -> None:
    with pytest.raises(ChartRefused) as refused:
        render(setting)
    assert REFUSED[setting] in str(refused.value)


@pytest.mark.parametrize("name", ["token", "s3AccessKeyId", "s3SecretAccessKey"])
@pytest.mark.parametrize("value", ["SECRET-7\n", " SECRET-7", "whsec_SECRET-7 ", 7, ["SECRET-7"]])
def test_a_secret_that_is_refused_is_not_printed(
    render: Render, tmp_path: Path, name: str, value: object
) -> None:
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump({"secrets": {"token": "x", name: value}}))
    with pytest.raises(ChartRefused) as refused:
        render(needed=NEEDED[1:], files=[file])
    assert "secrets" in str(refused.value)
    assert "SECRET-7" not in str(refused.value)


def test_the_chart_knows_the_models_of_the_built_in_registry(render: Render) -> None:
    assert render(f"models.offered={{{','.join(load_registry())}}}")
    text = (CHART / "templates" / "_checks.tpl").read_text()
    (known,) = re.findall(r"\$known := list (\"[^}]+\")", text)
    assert set(re.findall(r'"([^"]+)"', known)) == set(load_registry())
