"""Nodes that are away."""

from typing import Any

from tests.support.operator_samples import (
    NOW,
    stamp,
)

from splitjob_operator.runtime.node_monitor import not_ready_since


def test_nodes_that_are_away() -> None:
    def node(status: str) -> dict[str, Any]:
        ready = {"type": "Ready", "status": status, "lastTransitionTime": stamp(NOW)}
        return {"status": {"conditions": [ready]}}

    assert not_ready_since(node("True")) is None
    assert not_ready_since(node("Unknown")) == NOW
