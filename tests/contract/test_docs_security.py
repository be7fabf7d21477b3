"""The rights in the documentation are those that the chart gives."""

import re
from pathlib import Path

from tests.support.chart import Manifest

PAGE = (Path(__file__).parents[2] / "docs" / "security.md").read_text()
ROW = re.compile(r"^\| *(\w*) *\| *([^|]*?) *\| *([^|]*?) *\|$", re.MULTILINE)
ACCOUNTS = {"API": "api", "operator": "operator", "worker": "worker"}
Rights = dict[tuple[str, str], set[str]]


def documented() -> Rights:
    """Return the verbs by account and resource of the page's table."""
    table = PAGE.partition("### Rights of the service accounts")[2].partition("\n\nA test")[0]
    found: Rights = {}
    account = ""
    for name, resource, verbs in ROW.findall(table):
        account = ACCOUNTS.get(name, account)
        if account and resource:
            plain = re.split(r"[ :,(]", resource)[0]
            words = re.sub(
                r"[\w']+': ?",
                "",
                verbs.replace("the totals'", "").replace("the installation's", ""),
            )
            found[account, plain] = set(re.findall(r"[a-z]+", words))
    return found


def granted(manifests: list[Manifest]) -> Rights:
    """Return the same of the chart's roles; those for people are not of a component."""
    found: Rights = {}
    for role in manifests:
        component = role["metadata"]["labels"].get("app.kubernetes.io/component", "")
        if role["kind"] not in ("Role", "ClusterRole") or component not in ACCOUNTS.values():
            continue
        for rule in role["rules"]:
            for resource in rule["resources"]:
                found.setdefault((component, resource), set()).update(rule["verbs"])
    return found


def test_the_page_lists_the_rights_that_the_chart_gives(manifests: list[Manifest]) -> None:
    assert documented() == granted(manifests)
