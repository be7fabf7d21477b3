"""The queries of dashboard and alert rules, against what API and operator serve at work."""

import pytest
from tests.support import plain_http
from tests.support.exposition import Served, queries, served
from tests.support.promql import grouped_by, selectors
from tests.support.waiting import eventually
from tests.support.whole_path import WholePath


@pytest.fixture(scope="module")
def metrics(path: WholePath) -> Served:
    """What both serve once a song is separated: of the operator, the replica that leads."""
    name = path.ask(path.song_url())
    path.wait(name)
    namespace = path.service.namespace
    operators = path.cluster.pod_urls(namespace, "operator")

    def texts() -> list[str]:
        urls = [*path.service.api_urls(), *operators]
        found = [plain_http.get(f"{url}/metrics").text for url in urls]
        return found if any('use="used"' in text for text in found) else []

    return served(*eventually(texts))


@pytest.mark.parametrize("query", queries().values(), ids=queries())
def test_each_metric_and_label_of_a_query_is_served(metrics: Served, query: str) -> None:
    known: set[str] = set()
    for found in selectors(query):
        assert found.metric in metrics, f"nobody serves {found.metric}"
        assert found.labels <= metrics[found.metric], found.metric
        known |= metrics[found.metric]
    assert grouped_by(query) <= known
