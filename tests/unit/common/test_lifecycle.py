"""How far a SplitJob is: one reading of conditions, attempts and wishes, and the phase of it."""

from datetime import UTC, datetime
from typing import Any

import pytest

from splitjob.lifecycle import (
    LifecycleState,
    attempt_under_way,
    lifecycle_of,
    lifecycle_state,
    phase_of,
    verdict,
)
from splitjob.spec import SplitJobSpec
from splitjob.status import read_status

NOW = datetime(2026, 1, 1, tzinfo=UTC).isoformat()
UNDER_WAY = {"number": 1, "jobName": "a-1"}
ENDED = {**UNDER_WAY, "finishedAt": NOW}
CANCELED = {"Succeeded": "False", "reason": "Canceled"}


def status(*attempts: dict[str, Any], reason: str = "Whatever", **given: str) -> dict[str, Any]:
    """Return a status with these attempts and conditions; `reason` is that of each condition."""
    conditions = [
        {"type": kind, "status": value, "reason": reason, "lastTransitionTime": NOW}
        for kind, value in given.items()
    ]
    return {"conditions": conditions, "attempts": list(attempts)}


def splitjob(status: dict[str, Any], **spec: bool) -> dict[str, Any]:
    return {"metadata": {"name": "a"}, "spec": spec, "status": status}


@pytest.mark.parametrize(
    ("given", "state"),
    [
        ({}, LifecycleState.QUEUED),
        ({"Admitted": "False"}, LifecycleState.QUEUED),
        ({"Admitted": "True"}, LifecycleState.STARTING),
        ({"Admitted": "True", "Started": "True", "Succeeded": "Unknown"}, LifecycleState.RUNNING),
        ({"Started": "True", "Succeeded": "True"}, LifecycleState.COMPLETED),
        ({"Started": "True", "Succeeded": "False"}, LifecycleState.FAILED),
        (CANCELED, LifecycleState.CANCELED),
    ],
)
def test_a_job_is_as_far_as_its_conditions_say(
    given: dict[str, str], state: LifecycleState
) -> None:
    assert lifecycle_of(splitjob(status(**given))) is state


def test_a_job_nobody_has_looked_at_is_queued() -> None:
    assert lifecycle_of({"metadata": {}, "spec": {}}) is LifecycleState.QUEUED
    assert lifecycle_of({"metadata": {}}) is LifecycleState.QUEUED


@pytest.mark.parametrize(
    ("attempts", "spec", "state"),
    [
        ([UNDER_WAY], {}, LifecycleState.PENDING),
        ([ENDED], {}, LifecycleState.QUEUED),
        ([ENDED, UNDER_WAY], {}, LifecycleState.PENDING),
        ([], {"suspend": True}, LifecycleState.SUSPENDED),
        ([], {"canceled": True}, LifecycleState.CANCELING),
        ([], {"suspend": True, "canceled": True}, LifecycleState.SUSPENDED),
        ([UNDER_WAY], {"suspend": True}, LifecycleState.PENDING),
        ([UNDER_WAY], {"canceled": True}, LifecycleState.PENDING),
    ],
)
def test_while_it_is_not_admitted_attempts_and_wishes_decide(
    attempts: list[dict[str, Any]], spec: dict[str, bool], state: LifecycleState
) -> None:
    assert lifecycle_of(splitjob(status(*attempts, Admitted="False"), **spec)) is state


def test_what_another_version_wrote_does_not_hide_how_far_it_is() -> None:
    odd = status({"number": "one"}, Admitted="True", Started="True")
    odd["conditions"].append({"type": "Invented"})
    assert lifecycle_of(splitjob(odd)) is LifecycleState.RUNNING


def test_a_verdict_stands_whatever_else_is_said() -> None:
    for given in ({"Succeeded": "True"}, {"Succeeded": "False"}, CANCELED):
        found = lifecycle_of(splitjob(status(UNDER_WAY, Started="True", **given), canceled=True))
        assert found.finished
        assert found is verdict(read_status(status(**given)).conditions)


def test_the_states_are_told_apart_by_what_they_mean() -> None:
    finished = {LifecycleState.COMPLETED, LifecycleState.FAILED, LifecycleState.CANCELED}
    active = {LifecycleState.PENDING, LifecycleState.STARTING, LifecycleState.RUNNING}
    for state in LifecycleState:
        assert state.finished is (state in finished)
        assert state.active is (state in active)
        assert state.unsuccessful is (state in finished - {LifecycleState.COMPLETED})
        assert state.unstarted is (state not in finished | {LifecycleState.RUNNING})


SPEC = {"request": {"versionId": "a", "model": "demo", "source": {"url": "https://a.example/"}}}


def spec(**wishes: bool) -> SplitJobSpec:
    request = {**SPEC["request"], "webhook": {"url": "https://b.example/"}}
    return SplitJobSpec.model_validate({"request": request, **wishes})


def test_a_spec_that_cannot_be_understood_wishes_nothing() -> None:
    assert lifecycle_state(None, read_status(status())) is LifecycleState.QUEUED
    assert lifecycle_state(spec(suspend=True), read_status(status())) is LifecycleState.SUSPENDED


def test_only_the_last_attempt_can_be_under_way() -> None:
    assert attempt_under_way(read_status(status())) is None
    assert attempt_under_way(read_status(status(UNDER_WAY, ENDED))) is None
    found = attempt_under_way(read_status(status(ENDED, {**UNDER_WAY, "number": 2})))
    assert found is not None
    assert found.number == 2


@pytest.mark.parametrize(
    ("stored", "wishes", "phase"),
    [
        (status(), {}, "Queued"),
        (status(), {"suspend": True}, "Suspended"),
        (status(), {"canceled": True}, "Queued"),
        (status(UNDER_WAY, Admitted="False"), {}, "Queued"),
        (status(UNDER_WAY, Admitted="True"), {}, "Starting"),
        (status(UNDER_WAY, Admitted="True", Started="True"), {}, "Running"),
        (status(UNDER_WAY, Admitted="True", Started="True"), {"suspend": True}, "Running"),
        (status(UNDER_WAY, Admitted="True", Started="True"), {"canceled": True}, "Finishing"),
        (status({**UNDER_WAY, "reason": "WorkerLost"}, Admitted="True"), {}, "Finishing"),
        (status({**UNDER_WAY, "reason": "NoCapacity"}, Admitted="False"), {}, "Finishing"),
        (status({**ENDED, "reason": "WorkerLost"}, Admitted="False"), {}, "Queued"),
        (status(ENDED, Started="True", Succeeded="True"), {}, "Completed"),
        (status(UNDER_WAY, Started="True", Succeeded="True"), {"canceled": True}, "Completed"),
        (status(ENDED, Succeeded="False"), {}, "Failed"),
        (status(ENDED, **CANCELED), {}, "Canceled"),
    ],
)
def test_the_phase_sums_it_up(stored: dict[str, Any], wishes: dict[str, bool], phase: str) -> None:
    assert phase_of(spec(**wishes), read_status(stored)) == phase
