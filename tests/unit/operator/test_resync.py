"""What a look at the whole namespace keeps of each object, and what it forgets."""

import asyncio
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

from tests.support.operator_process import InlineThreads
from tests.support.operator_samples import (
    NOW,
    raw_splitjob,
    stamp,
)

from splitjob_operator.runtime.cache import SplitJobCache
from splitjob_operator.runtime.resync import Resync, _without_data


def named(name: str) -> dict[str, Any]:
    raw = raw_splitjob()
    return {**raw, "metadata": {**raw["metadata"], "name": name}}


def test_a_job_that_comes_while_all_are_listed_is_not_forgotten_and_one_that_is_gone_is() -> None:
    """Else it would lose its place in the queue, and the file that it reads."""
    cache = SplitJobCache(1, "cpu", lambda: 0.0)
    for name in ("gone", "stays"):
        cache.put(named(name))
    controller = SimpleNamespace(
        threads=InlineThreads(),
        remember=cache.put,
        note_at_rest=lambda _: None,
        cache=cache,
        reconciled={"gone": "1"},
    )

    def listed() -> Iterator[dict[str, Any]]:
        yield named("stays")
        cache.put(named("comes"))  # the watch brings it

    cluster = SimpleNamespace(splitjobs=listed)
    resync = Resync(
        cast("Any", controller), cast("Any", cluster), tuple, cast("Any", None), lambda: None
    )
    asyncio.run(resync._splitjobs())
    assert {entry.name for entry in cache} == {"stays", "comes"}
    assert controller.reconciled == {}


def test_of_a_secret_only_its_metadata_is_kept() -> None:
    raw = {
        "metadata": {
            "name": "s",
            "uid": "u",
            "resourceVersion": "7",
            "creationTimestamp": stamp(NOW),
        },
        "data": {"source": "c2VjcmV0"},
    }
    kept = {"name": "s", "uid": "u", "resourceVersion": "7", "ownerReferences": []}
    assert _without_data(raw) == ({"metadata": kept}, NOW)
