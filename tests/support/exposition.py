"""The dashboard's and the alerts' queries, and the samples that a program serves at /metrics."""

import json
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import yaml
from prometheus_client.parser import text_string_to_metric_families
from tests.support.chart import CHART

Served = Mapping[str, set[str]]


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((CHART / "files/dashboard.json").read_text())
    return found


def alerts() -> dict[str, dict[str, Any]]:
    """The alert rules by name."""
    groups = yaml.safe_load((CHART / "files/alerts.yaml").read_text())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def queries() -> dict[str, str]:
    """Every query by what asks it."""
    panels = {
        f"{panel['title']}, {target['legendFormat']}": target["expr"]
        for panel in dashboard()["panels"]
        for target in panel.get("targets", ())
    }
    return panels | {name: rule["expr"] for name, rule in alerts().items()}


def served(*texts: str) -> Served:
    """Return the labels of each sample in some expositions."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for text in texts:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                found[sample.name] |= set(sample.labels)
    return found
