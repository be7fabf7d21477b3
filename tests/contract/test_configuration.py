"""The table of variables and chart values, against the chart itself."""

import re
from pathlib import Path

import yaml

from splitjob.configuration import CHART_VALUES, SECRET_KEYS

CHART = Path(__file__).parents[2] / "charts/track-tree-audio"
# What the chart works out by itself, so that nobody can have set it wrong.
WORKED_OUT = {
    "LEASE_NAME",
    "RELEASE",
    "SECRET_KEYS",
    "SECRET_NAME",
    "TOTALS_CONFIGMAP",
    "WORKER_MODEL_REGISTRY_CONFIGMAP",
    "WORKER_SECRET_KEYS",
    "WORKER_SECRET_NAME",
    "WORKER_SERVICE_ACCOUNT",
}

# Not by the ConfigMaps, since they are for the workers' pods too, or worked out in the pod.
IN_THE_PODS = {"HOST", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "PROXY_RESOLVES_NAMES"}


def test_every_variable_of_the_chart_says_where_it_comes_from() -> None:
    text = (CHART / "templates/_settings.tpl").read_text()
    written = set(re.findall(r"^([A-Z][A-Z0-9_]+):", text, re.MULTILINE))
    assert written - WORKED_OUT == set(CHART_VALUES) - IN_THE_PODS


def test_every_value_named_is_one_of_the_chart() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    for paths in (*CHART_VALUES.values(), *SECRET_KEYS.values()):
        for path in paths.split(" or "):
            found = values
            for part in path.split("."):
                assert part in found, path
                found = found[part]
