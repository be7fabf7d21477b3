"""Environment variables, path rewriting, volumes: what a container is given."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitjob.quantity import binary_quantity, bytes_of, parse_quantity
from splitjob_kubelet.containers.image_pull import is_valid_image
from splitjob_kubelet.runtime.environment import (
    ConfigurationError,
    ObjectReference,
    PodFacts,
    container_environment,
    expand,
    field_value,
    resource_value,
    rewrite_path,
)
from splitjob_kubelet.runtime.volumes import File, TokenRequest, mount_paths, volume_files

FACTS = PodFacts(pod_ip="127.0.16.5", host_ip="127.0.0.1", allocatable={"memory": "8Gi"})


def pod(**spec: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "name": "p",
            "namespace": "ns",
            "uid": "u",
            "labels": {"app": "x"},
            "annotations": {"note": 'say "hi"'},
        },
        "spec": {"nodeName": "n", "containers": [], **spec},
    }


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("$(A)", "1"),
        ("x$(A)y$(B)", "x1y2"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("$(C) $A ${A}", "$(C) $A ${A}"),
        ("$(A", "$(A"),
        ("$", "$"),
    ],
)
def test_references_are_expanded(value: str, expected: str) -> None:
    assert expand(value, {"A": "1", "B": "2"}) == expected


@given(st.text())
def test_text_without_a_dollar_stays(value: str) -> None:
    text = value.replace("$", "")
    assert expand(text, {"A": "1"}) == text


MOUNTS = {"/data": "/here/data", "/data/deep": "/here/deep", "/dev/termination-log": "/here/m"}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("/data", "/here/data"),
        ("/data/", "/here/data/"),
        ("/data/a/b", "/here/data/a/b"),
        ("/data/deep/c", "/here/deep/c"),
        ("/data/deeper", "/here/data/deeper"),
        ("/database", "/database"),
        ("data", "data"),
        ("--dir=/data/x", "--dir=/here/data/x"),
        ("-o=/data", "-o=/here/data"),
        ("--url=http:///data", "--url=http:///data"),
        ("/dev/termination-log", "/here/m"),
        ("sh /data/x", "sh /data/x"),
    ],
)
def test_paths_are_rewritten_at_boundaries(value: str, expected: str) -> None:
    assert rewrite_path(value, MOUNTS) == expected


@given(st.text())
def test_values_that_are_no_such_path_stay(value: str) -> None:
    if "/data" not in value and "/dev/" not in value:
        assert rewrite_path(value, MOUNTS) == value


def test_later_variables_see_earlier_ones() -> None:
    container = {
        "envFrom": [{"prefix": "P_", "secretRef": {"name": "s"}}],
        "env": [
            {"name": "A", "value": "1"},
            {"name": "B", "value": "$(A)$(P_K)$(LATER)"},
            {"name": "LATER", "value": "x"},
            {"name": "EMPTY"},
        ],
    }
    found = container_environment(
        container, pod(), FACTS, {ObjectReference("secret", "s"): {"K": "k"}}
    )
    assert found == {"P_K": "k", "A": "1", "B": "1k$(LATER)", "LATER": "x", "EMPTY": ""}


def test_a_missing_key_is_named() -> None:
    reference = {"secretKeyRef": {"name": "s", "key": "k"}}
    container = {"env": [{"name": "A", "valueFrom": reference}]}

    with pytest.raises(ConfigurationError, match="couldn't find key k in Secret ns/s"):
        container_environment(container, pod(), FACTS, {ObjectReference("secret", "s"): {}})
    with pytest.raises(ConfigurationError, match='secret "s" not found'):
        container_environment(container, pod(), FACTS, {ObjectReference("secret", "s"): None})


def test_fields_of_the_pod() -> None:
    assert field_value("metadata.labels['app']", pod(), FACTS) == "x"
    assert field_value("metadata.annotations", pod(), FACTS) == 'note="say \\"hi\\""'
    assert field_value("status.podIP", pod(), FACTS) == "127.0.16.5"
    with pytest.raises(ConfigurationError, match=r"spec\.secret"):
        field_value("spec.secret", pod(), FACTS)


def test_resources_are_rounded_up_and_default_to_the_node() -> None:
    container = {"resources": {"limits": {"cpu": "1500m", "memory": "1Gi"}}}
    ask = {"resource": "limits.cpu"}
    assert resource_value(ask, container, pod(), FACTS) == "2"
    ask = {"resource": "limits.cpu", "divisor": "1m"}
    assert resource_value(ask, container, pod(), FACTS) == "1500"
    assert resource_value({"resource": "limits.memory"}, {}, pod(), FACTS) == str(8 * 2**30)


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", 1), ("1500m", 2), ("1Ki", 1024), ("1k", 1000), ("1e3", 1000), ("1.5Gi", 3 * 2**29)],
)
def test_quantities_are_read_as_kubernetes_does(text: str, value: int) -> None:
    assert bytes_of(text) == value


@given(st.text())
def test_a_quantity_is_read_or_refused(text: str) -> None:
    try:
        parse_quantity(text)
    except ValueError as error:
        assert "not a quantity" in str(error)  # noqa: PT017


@given(st.integers(min_value=0, max_value=2**60))
def test_binary_quantities_come_back(size: int) -> None:
    assert bytes_of(binary_quantity(size)) == size


@pytest.mark.parametrize(
    ("image", "valid"),
    [
        ("worker", True),
        ("example.com:5000/a/b-c:V1", True),
        ("a@sha256:" + "0" * 64, True),
        ("Upper/case", False),
        ("a b", False),
        ("", False),
        (":x", False),
    ],
)
def test_image_references(image: str, valid: bool) -> None:
    assert is_valid_image(image) == valid


def test_a_projected_volume() -> None:
    sources = [
        {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}},
        {"configMap": {"name": "ca", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
    ]
    volume = {"name": "v", "projected": {"defaultMode": 0o444, "sources": sources}}

    files = volume_files(
        volume,
        pod(),
        FACTS,
        {ObjectReference("configMap", "ca"): {"ca.crt": b"PEM", "other": b""}},
        {TokenRequest(None, 3607): "secret"},
    )

    assert files == {"token": File(b"secret", 0o600, private=True), "ca.crt": File(b"PEM", 0o444)}


def test_a_missing_item_is_named() -> None:
    items = [{"key": "x", "path": "x"}]
    volume = {"name": "v", "secret": {"secretName": "s", "items": items}}
    with pytest.raises(ConfigurationError, match="non-existent secret key: x"):
        volume_files(volume, pod(), FACTS, {ObjectReference("secret", "s"): {}}, {})


def test_a_sub_path_cannot_leave_its_volume(tmp_path: Any) -> None:
    mount = {"name": "v", "mountPath": "/v", "subPathExpr": "$(UP)/x"}
    volumes = [{"name": "v", "emptyDir": {}}]
    with pytest.raises(ConfigurationError, match="must stay inside"):
        mount_paths(
            {"volumeMounts": [mount]}, pod(volumes=volumes), tmp_path, tmp_path, {"UP": ".."}
        )
