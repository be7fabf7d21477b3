"""What PromQL queries read: the metrics and labels in them, without an engine to run them."""

import re
from collections.abc import Iterator
from typing import NamedTuple

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_SELECTOR = re.compile(r"\b((?:splitjob|track_tree_audio|process)_\w+)\s*(?:\{([^}]*)\})?")
_MATCHER = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")
_GROUPING = re.compile(r"\b(?:by|without|ignoring|on)\s*\(([^)]*)\)")
# What a scrape or the query's result has, and no metric of its own.
OF_THE_SCRAPE = {"namespace", "pod", "instance", "job"}


class Selector(NamedTuple):
    """A metric in a query, and the labels that it is asked for by."""

    metric: str
    labels: frozenset[str]


def selectors(query: str) -> Iterator[Selector]:
    """Yield what a query reads, with the labels of its matchers."""
    for name, matchers in _SELECTOR.findall(_STRING.sub('""', query)):
        yield Selector(name, frozenset(_MATCHER.findall(matchers)) - OF_THE_SCRAPE)


def grouped_by(query: str) -> frozenset[str]:
    """Return the labels that a query groups its results by."""
    lists = _GROUPING.findall(_STRING.sub('""', query))
    return frozenset(word.strip() for one in lists for word in one.split(",")) - OF_THE_SCRAPE
