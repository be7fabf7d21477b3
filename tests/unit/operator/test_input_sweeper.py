"""Files that were sent and that no job uses: which of them go, whatever the bucket answers."""

import asyncio
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, cast
from unittest.mock import patch

import pytest
from prometheus_client import REGISTRY
from tests.support.fake_ports import Bucket, FakeBucketService
from tests.support.faults import CallGate, Fault
from tests.support.operator_samples import NOW, raw_splitjob

from splitjob.inputs import Inputs
from splitjob_operator.adapters.input_store import InputStore
from splitjob_operator.core.admission_queue import Bounds
from splitjob_operator.core.ports import BucketError
from splitjob_operator.runtime import input_sweeper
from splitjob_operator.runtime.cache import SplitJobCache
from splitjob_operator.runtime.input_sweeper import InputSweeper

DAY = 86_400
INPUTS = Inputs("stems", "prod")


class Site:
    """A bucket with files of several ages, and the operator's sweeper.

    Attributes:
        gate: what each of its calls passes.
        jobs: the SplitJobs as the API server has them.
    """

    def __init__(self) -> None:
        self.bucket, self.gate = Bucket(), CallGate(lambda: None)
        self.cache = SplitJobCache(Bounds(1), "cpu", lambda: 0.0)
        service = cast("Any", FakeBucketService(self.bucket, self.gate))
        self.jobs: list[dict[str, Any]] = []
        store, cluster = InputStore(service, INPUTS), cast("Any", self)
        self.sweeper = InputSweeper(store, cluster, self.cache, DAY, self.now)

    def splitjobs(self) -> Iterator[dict[str, Any]]:
        return iter(self.jobs)

    def now(self) -> datetime:
        return NOW

    def send(self, age: float, key: str = "") -> str:
        """Put a file there that came so many seconds ago; return its key."""
        key = key or INPUTS.new_key("song.wav")
        self.bucket.objects[key] = b"a song"
        self.bucket.stored_at[key] = NOW - timedelta(seconds=age)
        return key

    def ask(self, key: str, *, seen: bool = True) -> None:
        """A job that has not ended reads a file; the watch has told of it, or not yet."""
        raw = raw_splitjob(source={"url": INPUTS.url_of(key)})
        raw["metadata"]["name"] = f"reads-{len(self.jobs)}"
        self.jobs.append(raw)
        if seen:
            self.cache.put(raw)

    def sweep(self) -> set[str]:
        """Sweep once; return what is there afterwards."""
        asyncio.run(self.sweeper.sweep())
        return set(self.bucket.objects)


@pytest.fixture
def site() -> Iterator[Site]:
    found = Site()
    yield found
    found.sweeper.close()


def test_a_file_that_nobody_asked_for_goes_after_a_day(site: Site) -> None:
    young = site.send(DAY - 1)
    for _ in range(5):  # on several pages
        site.send(DAY + 1)
    assert site.sweep() == {young}


def test_a_file_that_a_job_waits_for_stays_however_old_it_is(site: Site) -> None:
    key = site.send(9 * DAY)
    site.ask(key)
    assert site.sweep() == {key}


def test_a_file_that_a_job_has_named_this_moment_stays(site: Site) -> None:
    """The API server knows the job already, the watch has not told of it."""
    key, other = site.send(DAY + 1), site.send(DAY + 1)
    site.ask(key, seen=False)
    assert site.sweep() == {key}
    assert other not in site.bucket.objects


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_sweeps_that_fail_are_counted_and_told_of_once_until_they_work_again(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    swept, sweeps = "splitjob_inputs_swept_total", "splitjob_input_sweeps_total"
    before = counted(swept), counted(sweeps, outcome="failed"), counted(sweeps, outcome="done")
    site.send(DAY + 1)
    site.bucket.away = True
    for _ in range(3):
        asyncio.run(site.sweeper.try_to_sweep())
    site.bucket.away = False
    for _ in range(2):
        asyncio.run(site.sweeper.try_to_sweep())
    warned, *others = caplog.records
    assert "cannot list_page: no answer" in warned.getMessage()
    assert [one.levelname for one in (warned, *others)] == ["WARNING", "INFO", "INFO"]
    assert "deleted again" in others[-1].getMessage()
    after = counted(swept), counted(sweeps, outcome="failed"), counted(sweeps, outcome="done")
    assert [now - then for now, then in zip(after, before, strict=True)] == [1, 3, 2]


def test_nothing_else_in_the_bucket_is_touched(site: Site) -> None:
    others = {
        site.send(9 * DAY, key)
        for key in (
            "prod/song-1/split-a/vocals.wav",
            "prod/_inputs/manifest.json",
            f"prod/_inputs/{'0' * 32}/split-a/vocals.wav",
            f"_inputs/{'0' * 32}/song.wav",
        )
    }
    assert site.sweep() == others


@pytest.mark.parametrize("call", ["list_page", "delete_objects"])
@pytest.mark.parametrize("fault", [Fault.REFUSED, Fault.LOST_ANSWER])
def test_what_a_bucket_that_was_away_left_goes_at_the_next_sweep(
    site: Site, call: str, fault: Fault
) -> None:
    site.send(DAY + 1)
    site.gate.arm({(call, 0): fault})
    with pytest.raises(BucketError):
        site.sweep()
    site.gate.arm({})
    assert site.sweep() == set()


def test_what_cannot_be_deleted_keeps_nothing_behind_it_from_going(site: Site) -> None:
    """As under Object Lock: one of its page, and so its page's request, is refused each time."""
    for _ in range(5):  # on three pages
        site.send(DAY + 1)
    site.gate.arm({("delete_objects", 0): Fault.REFUSED})
    with pytest.raises(BucketError):
        site.sweep()
    assert len(site.bucket.objects) == 2


def test_one_sweep_looks_at_so_many_and_the_next_one_goes_on(site: Site) -> None:
    for _ in range(7):
        site.send(DAY + 1)
    with patch.object(input_sweeper, "MAX_PAGES", 1):
        left = [len(site.sweep()) for _ in range(4)]
    assert left == [5, 3, 1, 0]
