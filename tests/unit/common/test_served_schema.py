"""What a CustomResourceDefinition of another version would lose of what this one writes."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from splitjob.crd import root_schema
from splitjob_kube.served_schema import differences

Schema = dict[str, Any]


def at(schema: Schema, *names: str) -> Schema:
    """Return the properties below a path of names."""
    for name in names:
        schema = schema[name] if name in {"items", "additionalProperties"} else schema
        schema = schema["properties"][name] if name in schema.get("properties", {}) else schema
    found: Schema = schema["properties"]
    return found


OLDER: dict[str, tuple[Callable[[Schema], object], list[str]]] = {
    "a field of the status": (lambda s: at(s, "status").pop("webhook"), ["status.webhook"]),
    "a field deep inside": (
        lambda s: at(s, "status", "attempts", "items").pop("podName"),
        ["status.attempts[].podName"],
    ),
    "a field of the request": (
        lambda s: at(s, "spec", "request").pop("uploads"),
        ["spec.request.uploads"],
    ),
    "a field of each upload": (
        lambda s: at(s, "spec", "request", "uploads", "additionalProperties").pop("secretKey"),
        ["spec.request.uploads.*.secretKey"],
    ),
    "a value of an enumeration": (
        lambda s: at(s, "status", "webhook")["state"]["enum"].remove("Blocked"),
        ["status.webhook.state=Blocked"],
    ),
    "room for as many": (
        lambda s: at(s, "status")["attempts"].update(maxItems=3),
        ["status.attempts (maxItems 3)"],
    ),
    "a wider range": (
        lambda s: at(s, "spec")["priority"].update(minimum=0),
        ["spec.priority (minimum 0)"],
    ),
    "the whole status": (lambda s: s["properties"].pop("status"), ["status"]),
}


@pytest.mark.parametrize("case", OLDER)
def test_what_an_older_definition_lacks_is_named(case: str) -> None:
    change, lost = OLDER[case]
    served = deepcopy(root_schema())
    change(served)
    assert list(differences(root_schema(), served)) == lost


def test_the_own_definition_lacks_nothing() -> None:
    assert list(differences(root_schema(), root_schema())) == []


def test_a_newer_definition_lacks_nothing() -> None:
    newer = deepcopy(root_schema())
    at(newer, "status")["invented"] = {"type": "string"}
    at(newer, "status", "webhook")["state"]["enum"].append("Invented")
    at(newer, "status")["attempts"]["maxItems"] = 64
    assert list(differences(root_schema(), newer)) == []


def test_a_definition_that_keeps_unknown_fields_loses_none() -> None:
    lax = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    assert list(differences(root_schema(), lax)) == []
