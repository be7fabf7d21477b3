"""What is looked up and deleted for a plan, where the world has moved on since it was made."""

from typing import Any, cast

import pytest
from tests.support.operator_samples import NOW, UID, raw_splitjob, settings, stamp

from splitjob.conditions import ConditionType
from splitjob_kube.errors import KubernetesError, UnreachableError
from splitjob_operator.core.inputs import IN_USE
from splitjob_operator.core.lookups import (
    DeleteInput,
    EraseData,
    ErasureLookup,
    InputDeletion,
    LookupResults,
)
from splitjob_operator.core.observed import SplitJob
from splitjob_operator.core.plan import Plan
from splitjob_operator.runtime.executor import Executor

KEY = f"_inputs/{'0' * 32}/song.wav"
SENT = {"url": f"s3://stems/{KEY}"}
STAYS = InputDeletion(done=False, message=IN_USE)


class Site:
    """An executor, and all that it reaches.

    Attributes:
        jobs: the SplitJobs that the API server has of the file.
        error: what it answers instead, if anything.
        deleted: the keys that are gone.
        erased: what was asked of the manifests' store.
        written: each status that was written.
    """

    def __init__(self) -> None:
        self.jobs = [raw_splitjob(source=SENT)]
        self.error: KubernetesError | None = None
        self.deleted: list[str] = []
        self.erased: list[EraseData] = []
        self.written: list[dict[str, Any]] = []
        options = settings()
        here = cast("Any", self)
        policy = options.request_policy()
        self.executor = Executor(here, here, here, policy, options, lambda _: None)

    def readers(self, source_url: str) -> list[dict[str, Any]]:
        if self.error:
            raise self.error
        assert source_url == SENT["url"]
        return self.jobs

    def delete(self, key: str) -> InputDeletion:
        self.deleted.append(key)
        return InputDeletion(done=True)

    def erase(self, _splitjob: SplitJob, _request: object, wanted: EraseData) -> ErasureLookup:
        self.erased.append(wanted)
        return ErasureLookup(["input"])

    def write_status(self, seen: dict[str, Any], status: dict[str, Any]) -> dict[str, Any]:
        self.written.append(status)
        return {**seen, "status": status}

    def create_event(self, _event: dict[str, Any]) -> None:
        """Nobody reads them."""

    def other(self, **status: Any) -> None:
        """Another job that reads the file is created."""
        raw = raw_splitjob(source=SENT, status=status)
        raw["metadata"] |= {"name": "other", "uid": "other"}
        self.jobs.append(raw)

    def look_up(self, lookup: DeleteInput | EraseData) -> LookupResults:
        own = SplitJob.of(self.jobs[0])
        assert own.uid == UID
        return self.executor.look_up(lookup, own, LookupResults(), NOW)


SUCCEEDED = {
    "type": ConditionType.SUCCEEDED,
    "status": "True",
    "reason": "Completed",
    "message": "",
    "lastTransitionTime": stamp(NOW),
}


def test_a_file_that_no_other_job_needs_is_deleted() -> None:
    site = Site()
    site.other(conditions=[SUCCEEDED])
    assert site.look_up(DeleteInput(KEY)).input == InputDeletion(done=True)
    assert site.deleted == [KEY]


def test_a_file_that_a_job_has_named_this_moment_stays() -> None:
    """Acceptance 28c: the watch has not told of it yet."""
    site = Site()
    site.other()
    assert site.look_up(DeleteInput(KEY)).input == STAYS
    assert site.deleted == []


def test_erasing_leaves_a_file_that_a_job_has_named_this_moment() -> None:
    site = Site()
    site.other()
    found = site.look_up(EraseData(KEY))
    assert (found.erasure, found.input) == (ErasureLookup(["input"]), STAYS)
    assert site.erased == [EraseData(KEY, keep_input=True)]


@pytest.mark.parametrize("lookup", [DeleteInput(KEY), EraseData(KEY)])
def test_a_file_stays_while_nobody_can_say_who_reads_it(lookup: DeleteInput | EraseData) -> None:
    site = Site()
    site.error = UnreachableError("cannot list", "no answer")
    found = site.look_up(lookup).input
    assert found
    assert (found.done, "cannot list" in found.message) == (False, True)
    assert site.deleted == []
    assert all(one.keep_input for one in site.erased)


def test_what_a_newer_operator_has_written_beside_is_not_lost() -> None:
    site = Site()
    raw = raw_splitjob(status={"zone": "b"})
    splitjob = SplitJob.of(raw)
    status = splitjob.status.model_copy(update={"job_name": "a-1"})
    site.executor.execute(raw, splitjob, Plan(status=status), NOW)
    [written] = site.written
    assert (written["zone"], written["jobName"]) == ("b", "a-1")
