"""The CustomResourceDefinition: what the chart ships is what the models say, in structural form."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from splitjob import crd

SHIPPED = Path(__file__).parents[2] / "charts/track-tree-audio/files/crd.yaml"
WORDS_OF_JSON_SCHEMA_ALONE = {"$ref", "$defs", "anyOf", "allOf", "oneOf", "const", "title", "not"}


def nodes(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if key in schema:
            yield from nodes(schema[key], f"{path}[]")


NODES = dict(nodes(crd.root_schema()))


def test_the_chart_ships_what_the_models_say() -> None:
    assert SHIPPED.read_text() == crd.to_yaml(crd.custom_resource_definition()), (
        "run: python -m splitjob.crd > charts/track-tree-audio/files/crd.yaml"
    )


@pytest.mark.parametrize("path", NODES)
def test_every_node_is_structural(path: str) -> None:
    node = NODES[path]
    assert not WORDS_OF_JSON_SCHEMA_ALONE & set(node)
    assert isinstance(node["type"], str)
    assert node.get("default", "something") is not None


@pytest.mark.parametrize("path", [p for p in NODES if not p.endswith("[]") and p != ".metadata"])
def test_every_field_is_described(path: str) -> None:
    assert NODES[path]["description"].endswith(".")


@pytest.mark.parametrize("path", [p for p in NODES if p not in {".apiVersion", ".kind"}])
def test_everything_is_bounded(path: str) -> None:
    node = NODES[path]
    if node["type"] == "string":
        assert "maxLength" in node or "enum" in node or node["format"] == "date-time"
    if node["type"] == "array":
        assert "maxItems" in node
    if "additionalProperties" in node:
        assert "maxProperties" in node
    if node["type"] == "integer":
        assert "enum" in node or node["format"] in {"int32", "int64"}


@pytest.mark.parametrize("path", [p for p, node in NODES.items() if "pattern" in node])
def test_patterns_are_ones_that_the_api_server_can_compile(path: str) -> None:
    """Go's regular expressions repeat at most 1000 times and know no look-around."""
    pattern = NODES[path]["pattern"]
    assert all(int(n) <= 1000 for n in re.findall(r"[{,](\d+)", pattern))
    assert not re.search(r"\(\?[=!<]", pattern)


@pytest.mark.parametrize("path", [p for p, node in NODES.items() if "pattern" in node])
def test_patterns_mean_the_same_to_the_api_server_and_to_us(path: str) -> None:
    """Go's classes are ASCII, Python's Unicode: what one takes the other must not refuse."""
    assert not re.search(r"\\[sSdDwWbB]|\[\^", NODES[path]["pattern"])


def test_a_plain_url_is_of_printable_ascii_without_query_and_fragment() -> None:
    pattern = NODES[".spec.request.source.url"]["pattern"]
    taken = {one for one in map(chr, range(0x250)) if re.fullmatch(pattern, f"https://a/{one}")}
    assert taken == set(map(chr, range(0x21, 0x7F))) - set("?#")


def test_the_status_has_no_defaults() -> None:
    """It holds what the operator wrote, and nothing that the API server made up."""
    assert not [p for p, node in NODES.items() if p.startswith(".status") and "default" in node]


def test_the_request_is_immutable_as_a_whole() -> None:
    """Acceptance 56: a required object, so that optional fields can neither appear nor vanish."""
    request = NODES[".spec.request"]
    assert "self == oldSelf" in [one["rule"] for one in request["x-kubernetes-validations"]]
    assert "request" in NODES[".spec"]["required"]
    assert "spec" in NODES[""]["required"]
