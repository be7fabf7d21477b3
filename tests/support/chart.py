"""The chart as the tests see it: rendered by helm, and taken apart."""

import subprocess
from base64 import b64decode
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from splitjob_local.cluster.kubectl import FEW_COLLECTIONS, KubectlClient
from splitjob_local.processes.supervised import clean_environment

CHART = Path(__file__).parents[2] / "charts" / "track-tree-audio"
LOCAL = CHART / "values-local.yaml"
NEEDED = ("secrets.token=a-token-of-the-tests", "storage.bucket=stems")
# A registry of one's own, as one argument of `--set`.
OWN_REGISTRY = ",".join(
    f"models.registry.models[0].{entry}"
    for entry in (
        "name=own",
        "architecture=HTDemucs",
        "stems={drums,vocals}",
        "sample_rate=44100",
        "segment=39/5",
        "license_note=ours",
        "files[0].name=own.safetensors",
    )
)
RELEASE = "demo"
NAMESPACE = "audio"

Manifest = dict[str, Any]
Render = Callable[..., list[Manifest]]


class ChartRefused(Exception):  # noqa: N818 - reads as what happened
    """Helm did not render the chart; the message is what it said."""


def render(
    helm: Path,
    home: Path,
    *settings: str,
    files: Sequence[Path] = (),
    needed: Sequence[str] = NEEDED,
    namespace: str = NAMESPACE,
    release: str = RELEASE,
    source: Path = CHART,
) -> list[Manifest]:
    """Return the manifests of the chart with some values.

    Args:
        helm: the program.
        home: an empty folder for helm's own files.
        settings: `key=value` as for `helm --set`.
        files: of values.
        needed: the settings without which nothing is rendered.
        namespace: of the release.
        release: its name.
        source: the chart.

    Raises:
        ChartRefused: the values are not accepted.
    """
    values = [f"--values={file}" for file in files]
    values += [f"--set={setting}" for setting in (*needed, *settings)]
    arguments = (release, str(source), f"--namespace={namespace}", *values)
    contents = tuple(file.read_text() for file in (*files, *_parts(source)))
    text = _template(helm, home, arguments, contents)
    # libyaml reads the chart in a quarter of the time, and it is read some hundred times.
    return [document for document in yaml.load_all(text, Loader=yaml.CSafeLoader) if document]


def _parts(source: Path) -> list[Path]:
    """Return the files of a chart that is not the project's, and so may change meanwhile."""
    return [] if source == CHART else sorted(path for path in source.rglob("*") if path.is_file())


@cache
def _template(
    helm: Path, home: Path, arguments: tuple[str, ...], _contents: tuple[str, ...]
) -> str:
    """Return what helm makes of a chart; what many tests look at, it makes once."""
    homes = dict.fromkeys(("HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"), str(home))
    answer = subprocess.run(
        [helm, "template", *arguments],
        check=False,
        capture_output=True,
        text=True,
        env=clean_environment(**homes, **FEW_COLLECTIONS),
    )
    if answer.returncode != 0:
        raise ChartRefused(answer.stderr)
    return answer.stdout


def refusal(render: Render, *settings: str) -> str:
    """Return why the chart refuses some values; fails where it takes them."""
    with pytest.raises(ChartRefused) as refused:
        render(*settings)
    return str(refused.value)


def apply(
    kube: KubectlClient, namespace: str, *manifests: Manifest, dry_run: bool = True
) -> list[Manifest]:
    """Give manifests to the API server, by default only to see whether it takes them.

    Returns:
        What it made of each.

    Raises:
        ClusterError: it does not take one.
    """
    return [kube.objects.apply(one, namespace, dry_run=dry_run) for one in manifests]


def one(manifests: list[Manifest], kind: str, name: str = "") -> Manifest:
    """Return the only manifest of a kind whose name ends so."""
    (found,) = (m for m in manifests if m["kind"] == kind and m["metadata"]["name"].endswith(name))
    return found


def container(manifests: list[Manifest], component: str) -> dict[str, Any]:
    """Return the container of a component's Deployment."""
    template = one(manifests, "Deployment", f"-{component}")["spec"]["template"]
    (only,) = template["spec"]["containers"]
    return dict(only)


def environment(manifests: list[Manifest], component: str) -> dict[str, str]:
    """Return the environment of a component as its container would see it."""
    secret = {k: b64decode(v).decode() for k, v in one(manifests, "Secret")["data"].items()}
    fields = {
        "metadata.name": f"{component}-0",
        "metadata.namespace": NAMESPACE,
        "status.podIP": "127.0.0.9",
    }
    settings = dict(one(manifests, "ConfigMap", f"-{component}")["data"])
    for entry in container(manifests, component)["env"]:
        source = entry.get("valueFrom", {})
        if "secretKeyRef" in source:
            settings |= {k: v for k, v in secret.items() if k == source["secretKeyRef"]["key"]}
        elif "fieldRef" in source:
            settings[entry["name"]] = fields[source["fieldRef"]["fieldPath"]]
        else:
            settings[entry["name"]] = entry["value"]
    return settings
