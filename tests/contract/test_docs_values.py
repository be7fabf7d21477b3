"""Values and settings that the documentation names are those of the chart."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.chart import CHART

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
DOTTED = re.compile(r"`(\w+(?:\.\w+)+)(?::[^`]*)?`")
# Fields of SplitJobs and answers, and files of the code that begin like values of the chart.
NOT_VALUES = {"audio.duration", "source.secretKey", "storage.py"}


def is_value(path: str) -> bool:
    """Whether the chart knows a value of this path; below an empty map anything may stand."""
    node: Any = VALUES
    for key in path.split("."):
        if node == {}:
            return True
        if not isinstance(node, dict) or key not in node:
            return False
        node = node[key]
    return True


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_values_that_a_page_names_are_in_the_chart(page: Path) -> None:
    named = {path for path in DOTTED.findall(page.read_text()) if path.split(".")[0] in VALUES}
    wrong = sorted(path for path in named - NOT_VALUES if not is_value(path))
    assert not wrong


def test_a_value_that_is_not_there_is_noticed() -> None:
    assert is_value("worker.gpu.count")
    assert not is_value("worker.gpu.number")
