"""The cluster's objects, as its own client reads and writes them on a real API server."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from splitjob_local.cluster.local_cluster import LocalCluster
from splitjob_local.cluster.objects import ClusterError, ObjectClient


def config_map(name: str, **data: str) -> dict[str, Any]:
    metadata = {"name": name, "labels": {"kept": "yes"}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def test_an_object_is_created_changed_and_deleted(cluster: LocalCluster, namespace: str) -> None:
    objects = cluster.objects
    objects.create(config_map("one", a="1", b="2"), namespace)
    objects.patch("configmap", "one", {"data": {"a": None, "c": "3"}}, namespace=namespace)
    assert objects.get("cm", "one", namespace=namespace)["data"] == {"b": "2", "c": "3"}
    objects.delete("configmaps", "one", namespace=namespace)
    assert "one" not in objects.names("configmaps", namespace=namespace)


def test_a_read_that_is_left_alone_is_asked_again_and_a_write_is_not(
    cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.method)
        if len(asked) in {1, 3}:
            raise httpx.ReadTimeout("nothing came", request=request)
        return httpx.Response(200, json={"items": []})

    objects = cluster.objects
    objects.names("configmaps")  # so that it knows where they are
    client = httpx.Client(transport=httpx.MockTransport(answer), base_url="http://cluster")
    monkeypatch.setitem(vars(objects), "_http", client)
    assert objects.get("configmaps", namespace="default") == {"items": []}
    with pytest.raises(ClusterError, match="nothing came"):
        objects.create(config_map("one"), "default")
    assert asked == ["GET", "GET", "POST"]


def test_all_of_a_kind_are_deleted_in_one_namespace(cluster: LocalCluster, namespace: str) -> None:
    objects = cluster.objects
    for name in ("one", "two"):
        objects.create(config_map(name), namespace)
    objects.delete_all("configmaps", namespace=namespace)
    assert not {"one", "two"} & {*objects.names("configmaps", namespace=namespace)}
    assert objects.names("configmaps", namespace="kube-system")
    objects.delete_all("configmaps", namespace="nowhere")


def test_what_is_applied_again_loses_what_is_no_longer_said(
    cluster: LocalCluster, namespace: str
) -> None:
    objects = cluster.objects
    objects.apply(config_map("one", a="1", b="2"), namespace)
    assert objects.apply(config_map("one", b="3"), namespace)["data"] == {"b": "3"}


def test_objects_of_several_kinds_are_listed_with_kind_and_labels(
    cluster: LocalCluster, namespace: str
) -> None:
    objects = cluster.objects
    objects.create(config_map("one"), namespace)
    found = objects.get("configmaps,secrets,clusterroles", namespace=namespace, selector="kept=yes")
    assert [(one["kind"], one["metadata"]["name"]) for one in found["items"]] == [
        ("ConfigMap", "one")
    ]


def test_a_dry_run_keeps_nothing(cluster: LocalCluster, namespace: str) -> None:
    objects = cluster.objects
    objects.create(config_map("one"), namespace, dry_run=True)
    objects.apply(config_map("two"), namespace, dry_run=True)
    assert not {"one", "two"} & {*objects.names("configmaps", namespace=namespace)}


def test_what_is_refused_is_said_as_the_server_says_it(
    cluster: LocalCluster, namespace: str
) -> None:
    objects = cluster.objects
    with pytest.raises(ClusterError, match='NotFound: configmaps "nobody" not found'):
        objects.get("configmap", "nobody", namespace=namespace)
    with pytest.raises(ClusterError, match='unknown field "date"'):
        objects.create({**config_map("one"), "date": {}}, namespace)
    with pytest.raises(ClusterError, match='no resource type "nothing"'):
        objects.get("nothing")


def test_a_server_that_is_away_is_not_ready(cluster: LocalCluster, tmp_path: Path) -> None:
    assert cluster.objects.is_ready()
    address = cluster.control_plane.url
    elsewhere = tmp_path / "kubeconfig"
    elsewhere.write_text(cluster.kubeconfig.read_text().replace(address, "https://127.0.0.1:1"))
    objects = ObjectClient(elsewhere)
    assert not objects.is_ready()
    with pytest.raises(ClusterError, match=r"GET /api: .*refused"):
        objects.get("pods")
