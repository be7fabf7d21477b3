"""Values of the chart that are wrong, blank or null: refused in words, or the default."""

import copy
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml
from tests.support import chart
from tests.support.chart import CHART, NEEDED, ChartRefused, Manifest, Render, refusal

from splitjob.models import load_registry

SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text())
VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
VALUES["secrets"]["existingSecret"] = "mine"
VALUES["storage"]["bucket"] = "stems"
# Left out by null: of the pods, for clusters that choose users themselves (OpenShift), and of the
# dashboard, for sidecars that look for another label.
LEFT_OUT = {
    f"{component}.podSecurityContext.{key}"
    for component in ("api", "operator", "worker")
    for key in ("runAsUser", "runAsGroup", "fsGroup")
} | {
    "metrics.dashboard.labels.grafana_dashboard",
    "tests.resources.limits.cpu",
    "worker.podSecurityContext.fsGroupChangePolicy",
}
# What the schema lets through, for _checks.tpl and validate.yaml to refuse or because it is meant.
SECRETS = {
    "secrets.token",
    "secrets.s3AccessKeyId",
    "secrets.s3SecretAccessKey",
    "secrets.apiS3AccessKeyId",
    "secrets.apiS3SecretAccessKey",
}
LET_THROUGH: dict[str, set[str]] = {
    "null": LEFT_OUT,
    "blank": {
        "api.kubernetesTokens.audience",
        "metrics.dashboard.labels.grafana_dashboard",
        "secrets.existingSecret",
        "storage.bucket",
        "worker.models.directory",
    },
    "space": SECRETS,
    "newline": SECRETS,
    "umlaut": SECRETS,
}
WRONG: dict[str, object] = {
    "null": None,
    "blank": "",
    "space": " ",
    "newline": "a\n",
    "negative": -1,
    "huge": 10**30,
    "long": "x" * 100_000,
    "umlaut": "ä",
    "list of nulls": [None],
    "list of blanks": [""],
    "list of maps": [{}],
    "map": {"x y": 1},
}
Path_ = tuple[str, ...]


def every_value(node: dict[str, Any], path: Path_ = ()) -> Iterator[tuple[Path_, object]]:
    """Yield the path and the default of every value, the maps of values among them."""
    for key, value in node.items():
        yield (*path, key), value
        if isinstance(value, dict):
            yield from every_value(value, (*path, key))


def changed(path: Path_, value: object) -> dict[str, Any]:
    """Return all values with one changed, as Helm hands them on: null removes a key."""
    values = copy.deepcopy(VALUES)
    node = values
    for key in path[:-1]:
        node = node[key]
    if value is None:
        del node[path[-1]]
    else:
        node[path[-1]] = value
    return values


def wrong_values(kind: str) -> list[Path_]:
    """Return the values that are not by default what a kind of wrong value is."""
    return [path for path, default in every_value(VALUES) if default != WRONG[kind]]


@pytest.mark.parametrize("kind", WRONG)
def test_the_schema_refuses_every_value_that_is_wrong_and_names_it(kind: str) -> None:
    """Acceptance 70."""
    validator = jsonschema_rs.Draft202012Validator(SCHEMA)
    let_through = set()
    for path in wrong_values(kind):
        errors = list(validator.iter_errors(changed(path, WRONG[kind])))
        if not errors:
            let_through.add(".".join(path))
            continue
        named = [[*map(str, error.instance_path)] for error in errors]
        holder = [error.message for error in errors if [*error.instance_path] == [*path[:-1]]]
        by_itself = any(where[: len(path)] == [*path] for where in named)
        assert by_itself or any(f'"{path[-1]}"' in message for message in holder), path
    assert let_through == LET_THROUGH.get(kind, set())


def test_helm_refuses_what_the_schema_refuses(helm: Path, tmp_path: Path) -> None:
    """All of them at once: a chart whose values are a list of values of ours."""
    folder = tmp_path / "all"
    shutil.copytree(CHART, folder)
    shutil.rmtree(folder / "templates")
    whole = {key: value for key, value in SCHEMA.items() if key != "$defs"}
    definitions = {**SCHEMA["$defs"], "whole": whole}
    many = {"type": "array", "items": {"$ref": "#/$defs/whole"}}
    schema = {"$schema": SCHEMA["$schema"], "$defs": definitions, "properties": {"all": many}}
    (folder / "values.schema.json").write_text(json.dumps(schema))
    kinds = [kind for kind in WRONG if kind != "long"]
    cases = [
        (path, kinds[number % len(kinds)]) for number, (path, _) in enumerate(every_value(VALUES))
    ]
    cases += [(path, "null") for path in wrong_values("null")]
    given = [changed(path, WRONG[kind]) for path, kind in cases]
    (folder / "values.yaml").write_text(json.dumps({"all": given}))
    with pytest.raises(ChartRefused) as refused:
        chart.render(helm, tmp_path, needed=(), source=folder)
    named = {int(number) for number in re.findall(r"at '/all/(\d+)", str(refused.value))}
    validator = jsonschema_rs.Draft202012Validator(SCHEMA)
    expected = {n for n, values in enumerate(given) if not validator.is_valid(values)}
    assert [cases[n] for n in sorted(named ^ expected)] == []


@pytest.mark.parametrize(
    "setting",
    [
        "networkPolicy.worker.exceptIPv4",
        "worker.gpu.count",
        "queue.ttlSecondsAfterFinished",
        "networkPolicy",
        "webhooks",
        "global.imageRegistry",
    ],
)
def test_a_blanked_value_is_refused_with_what_to_do(render: Render, setting: str) -> None:
    with pytest.raises(ChartRefused) as refused:
        render(f"{setting}=null")
    assert f"missing property '{setting.rpartition('.')[2]}'" in str(refused.value)
    assert "remove its line or give it a value" in str(refused.value)


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

    def render(release: str, *settings: str, **more: Any) -> list[Manifest]:
        return chart.render(helm, home, *settings, release=release, **more)

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
    "source.allowedNetworks={10.0.0.1/8}": "has 10.0.0.1/8, an address inside of a network",
    "source.allowedNetworks={fd00::1/8}": "has fd00::1/8, an address inside of a network",
    "source.allowedNetworks={::ffff:a00:0/104}": "an IPv4 network written as IPv6",
    "networkPolicy.worker.extraEgress[0].to[0].ipBlock.cidr=10.1.1.1/24": "extraEgress has 10.1.1",
    "api.resources.limits.memory=512m": "api.resources.limits.memory is 512m, which is not",
    "models.offered={demo,nope}": "models.offered has nope, which the registry has not",
    "environment=local,webhooks.allowlist={http://example.com}": "http goes to loopback",
    "secrets.token= x": "secrets.token begins or ends with a blank or a newline",
    "secrets.token=whsec_x": "does not go on with base64",
    "secrets.s3AccessKeyId=a b,secrets.s3SecretAccessKey=c": "secrets.s3AccessKeyId holds a blank",
}


@pytest.mark.parametrize("setting", REFUSED)
def test_what_the_schema_cannot_say_is_refused_in_words(render: Render, setting: str) -> None:
    assert REFUSED[setting] in refusal(render, setting)


@pytest.mark.parametrize("name", ["token", "s3AccessKeyId", "s3SecretAccessKey"])
@pytest.mark.parametrize("value", ["SECRET-7\n", ["SECRET-7"]])
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


def test_names_that_yaml_takes_for_numbers_stay_names(named: Render, tmp_path: Path) -> None:
    number = "123"
    component = {
        "image": {"repository": number, "tag": number},
        "serviceAccount": {"name": number, "annotations": {"x": number}},
        "priorityClassName": number,
        "nodeSelector": {"x": number},
        "podLabels": {"x": number},
        "podAnnotations": {"x": number},
        "extraEnv": [{"name": "X", "value": number}],
    }
    values = {
        "imagePullSecrets": [number],
        "secrets": {
            "existingSecret": number,
            "keys": dict.fromkeys(VALUES["secrets"]["keys"], number),
        },
        "storage": {"bucket": number, "prefix": number},
        "caBundle": {"configMap": number, "key": number},
        "queue": {"priorityClasses": [{"name": number}]},
        "commonLabels": {"x": number},
        "ingress": {"enabled": True, "className": number, "hosts": [number]},
        "httpRoute": {"enabled": True, "parentRefs": [{"name": number}], "hostnames": [number]},
        "metrics": {"serviceMonitor": {"enabled": True, "labels": {"x": number}}},
        "api": component,
        "operator": component,
        "worker": {**component, "runtimeClassName": number},
    }
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump(values))
    rendered = named(number, needed=(), files=[file])
    assert json.dumps(rendered).count(f'"{number}"') > 50
    assert not re.search(rf"[ \[]{number}[,\]}}]", json.dumps(rendered))


class Strict(yaml.SafeLoader):
    """Refuses a key that is there twice, of which others take either."""


def no_key_twice(loader: Strict, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = [loader.construct_object(key) for key, _ in node.value]
    assert len(keys) == len(set(keys)), f"{keys}{node.start_mark}"
    return loader.construct_mapping(node, deep=True)


Strict.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, no_key_twice)


def test_a_label_given_in_several_places_is_there_once(
    helm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = {"team": "here", "release": "here"}
    component = {"podLabels": labels, "podAnnotations": labels}
    monitor = {"enabled": True, "labels": labels}
    values = {
        "commonLabels": {"team": "everywhere", "release": "everywhere"},
        **dict.fromkeys(("api", "operator", "worker"), component),
        "metrics": {"serviceMonitor": monitor},
        "ingress": {"enabled": True, "hosts": ["audio.example.com"]},
        "httpRoute": {"enabled": True, "parentRefs": [{"name": "public"}]},
    }
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump(values))
    monkeypatch.setattr(yaml, "safe_load_all", lambda text: yaml.load_all(text, Strict))
    rendered = chart.render(helm, tmp_path, files=[file])
    pods = [m["spec"]["template"]["metadata"] for m in rendered if m["kind"] == "Deployment"]
    monitors = [m["metadata"] for m in rendered if m["kind"] == "ServiceMonitor"]
    assert [m["labels"]["team"] for m in (*pods, *monitors)] == ["here"] * 4


@pytest.mark.parametrize("value", ["commonLabels", "api.podLabels", "metrics.podMonitor.labels"])
@pytest.mark.parametrize("label", ["app.kubernetes.io/name", "helm.sh/chart", "pod-template-hash"])
def test_a_label_of_the_charts_own_is_refused(
    render: Render, tmp_path: Path, value: str, label: str
) -> None:
    nested: dict[str, Any] = {label: "x"}
    for key in reversed(value.split(".")):
        nested = {key: nested}
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump(nested))
    with pytest.raises(ChartRefused) as refused:
        render(files=[file])
    assert f"{value} has {label}" in str(refused.value)
