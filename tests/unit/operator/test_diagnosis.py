"""Diagnosing a failure: each shape Kubernetes gives it, and which of two wins."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.operator_samples import (
    NOW,
    after,
    completed_pod,
    ended_pod,
    failed_pod,
    job,
    raw_pod,
    running_pod,
)

from splitjob.errors import ErrorCode
from splitjob.result import EXIT_TERMINATED
from splitjob_operator.core.diagnosis import AttemptDeadlines, Diagnosis, diagnose, reason_due
from splitjob_operator.core.observed import ContainerTermination, KubeJob, KubePod

LIMITS = AttemptDeadlines(
    queued_since=NOW, queue=100, start=50, run=30, waiting_grace=20, node_lost=40
)


def reading(
    pod: KubePod | None,
    at: float = 6,
    *,
    of: KubeJob | None = None,
    lost: datetime | None = None,
    no_job: bool = False,
) -> Diagnosis | None:
    return diagnose(None if no_job else of or job(), pod, lost, LIMITS, after(at))


def code(found: Diagnosis | None) -> str | None:
    return found.code.value if found else None


def waiting(reason: str) -> KubePod:
    return KubePod.of(raw_pod(waiting={"reason": reason, "message": "back-off pulling x"}))


def test_an_oom_kill_is_out_of_memory() -> None:
    """Acceptance 36."""
    assert code(reading(ended_pod(137, reason="OOMKilled"))) == "worker_oom"


def test_of_a_child_that_was_killed_for_memory_the_worker_itself_says_so() -> None:
    """Acceptance 36: containerd gives its container the same reason, whatever its exit code."""
    pod = failed_pod("worker_oom", retryable=True)
    assert pod.terminated
    pod = replace(pod, terminated=replace(pod.terminated, reason="OOMKilled"))
    assert reading(pod) == Diagnosis(ErrorCode.WORKER_OOM, "It is worker_oom.", retryable=True)


def test_a_disruption_beats_out_of_memory() -> None:
    """Acceptance 37."""
    pod = ended_pod(137, reason="OOMKilled", disruption="EvictionByEvictionAPI")
    assert code(reading(pod)) == "worker_disrupted"


def test_a_disruption_counts_only_once_the_pod_is_on_its_way_out() -> None:
    assert reading(replace(running_pod(), disruption="PreemptionByScheduler")) is None
    going = replace(running_pod(), disruption="PreemptionByScheduler", deleting_since=after(30))
    assert code(reading(going)) == "worker_disrupted"


def test_a_node_that_is_gone_is_lost() -> None:
    """Acceptance 44."""
    assert code(reading(ended_pod(1, disruption="DeletionByPodGC"))) == "worker_lost"
    assert code(reading(running_pod(), 10, lost=NOW)) is None
    assert code(reading(running_pod(since=after(20)), 40, lost=NOW)) == "worker_lost"


def test_a_deadline_that_passes_while_the_node_is_away_is_a_lost_worker() -> None:
    """Acceptance 44: it is tried again, as one that ran for too long is not."""
    assert reading(running_pod(), 29, lost=after(20)) is None
    found = reading(running_pod(), 30, lost=after(20))
    assert code(found) == "worker_lost"
    assert found
    assert str(after(20)) in found.message
    over = replace(running_pod(), phase="Failed", reason="DeadlineExceeded")
    assert code(reading(over, 30, lost=after(20))) == "deadline_exceeded"


def test_one_that_cannot_start_as_its_node_is_away_is_a_lost_worker() -> None:
    """Acceptance 44: the start deadline comes before the node is given up."""
    assert reading(waiting("ContainerCreating"), 49, lost=after(30)) is None
    assert code(reading(waiting("ContainerCreating"), 50, lost=after(30))) == "worker_lost"


def test_what_never_started_did_not_run_too_long() -> None:
    """The kubelet's own deadline, seen late, of an image that could not be pulled."""
    pod = replace(waiting("ImagePullBackOff"), phase="Failed", reason="DeadlineExceeded")
    found = reading(pod, 500)
    assert code(found) == "worker_image"
    assert found
    assert "back-off pulling x" in found.message


def test_a_job_that_reached_its_own_deadline_ran_too_long_or_found_no_place() -> None:
    over = job(failed_reason="DeadlineExceeded", failed_message="Job was active longer than that")
    assert code(reading(None, 99, of=over)) == "deadline_exceeded"
    assert code(reading(None, 100, of=over)) == "no_capacity", "it has waited since it was queued"


def test_a_worker_told_to_stop_was_disrupted() -> None:
    """Acceptance 38."""
    message = '{"outcome":"terminated","message":"","s":[]}'
    assert code(reading(ended_pod(EXIT_TERMINATED, message))) == "worker_disrupted"
    assert code(reading(ended_pod(143))) == "worker_disrupted"
    assert code(reading(ended_pod(137, deleting_since=NOW))) == "worker_disrupted"


@pytest.mark.parametrize(
    "pod",
    [
        ended_pod(143, deleting_since=NOW, phase="Running"),
        ended_pod(137, deleting_since=NOW),
        ended_pod(EXIT_TERMINATED, '{"outcome":"terminated","message":"","s":[]}'),
    ],
)
def test_a_worker_told_to_stop_because_its_job_is_gone_counts_as_that(pod: KubePod) -> None:
    """Acceptance 46: however late it is looked at, else it would be tried five times more."""
    for found in (reading(pod, no_job=True), reading(pod, of=job(deleting=True))):
        assert found == Diagnosis(
            ErrorCode.WORKER_LOST, "The worker's Job was deleted.", retryable=True, job_deleted=True
        )
    assert code(reading(ended_pod(137, reason="OOMKilled"), no_job=True)) == "worker_oom"
    assert code(reading(failed_pod("audio_unreadable"), no_job=True)) == "audio_unreadable"
    evicted = replace(pod, disruption="EvictionByEvictionAPI")
    assert code(reading(evicted, no_job=True)) == "worker_disrupted"


@pytest.mark.parametrize("reason", ["ImagePullBackOff", "ErrImagePull"])
def test_image_after_a_grace(reason: str) -> None:
    """Acceptance 40."""
    assert reading(waiting(reason), 19) is None
    found = reading(waiting(reason), 20)
    assert code(found) == "worker_image"
    assert found
    assert "back-off pulling x" in found.message


def test_an_impossible_image_at_once() -> None:
    """Acceptance 40."""
    assert code(reading(waiting("InvalidImageName"), 1)) == "worker_image"


def test_a_container_that_cannot_be_configured_is_a_wrong_configuration() -> None:
    """Acceptance 43."""
    assert code(reading(waiting("CreateContainerConfigError"), 20)) == "worker_config"
    assert code(reading(ended_pod(128, reason="StartError"))) == "worker_config"


def test_a_container_that_is_never_created() -> None:
    assert reading(waiting("ContainerCreating"), 49) is None
    assert code(reading(waiting("ContainerCreating"), 50)) == "worker_config"


def test_deadlines_are_those_of_running_and_of_starting() -> None:
    """Acceptance 41, 45."""
    assert reading(running_pod(), 29) is None
    assert code(reading(running_pod(), 30)) == "deadline_exceeded"
    pod = KubePod(name="p", uid="u", unschedulable="no GPU")
    assert reading(pod, 99) is None
    found = reading(pod, 100)
    assert code(found) == "no_capacity"
    assert found
    assert "no GPU" in found.message


def test_the_kubelets_own_deadline_is_the_net() -> None:
    assert code(reading(ended_pod(137, reason="x", number=1))) == "worker_lost"
    pod = replace(ended_pod(143), reason="DeadlineExceeded")
    assert code(reading(pod)) == "deadline_exceeded"


def test_a_full_scratch_disk() -> None:
    """Acceptance 50."""
    pod = replace(
        ended_pod(137),
        reason="Evicted",
        message='Usage of EmptyDir volume "scratch" exceeds the limit "20Gi".',
    )
    assert code(reading(pod)) == "worker_storage"
    other = replace(ended_pod(137), reason="Evicted", message="The node was low on resource: pids")
    assert code(reading(other)) == "worker_disrupted"


@pytest.mark.parametrize("exit_code", [137, 143, EXIT_TERMINATED])
def test_a_stopped_worker_is_read_once_its_pod_has_said_why(exit_code: int) -> None:
    stopped = ended_pod(exit_code, phase="Running")
    due = reason_due(stopped)
    assert due is not None
    assert diagnose(job(), stopped, None, LIMITS, due - timedelta(seconds=1)) is None
    assert code(diagnose(job(), stopped, None, LIMITS, due)) in {"worker_lost", "worker_disrupted"}
    full = replace(stopped, phase="Failed", reason="Evicted", message="ephemeral storage")
    assert code(reading(full)) == "worker_storage"


def test_a_worker_that_ended_by_itself_is_read_at_once() -> None:
    assert code(reading(ended_pod(1, phase="Running"))) == "internal_error"
    assert code(reading(ended_pod(137, reason="OOMKilled", phase="Running"))) == "worker_oom"
    gone = ended_pod(137, reason="ContainerStatusUnknown", phase="Running")
    assert code(reading(gone)) == "worker_lost"
    deleted = ended_pod(143, deleting_since=NOW, phase="Running")
    assert code(reading(deleted)) == "worker_disrupted"


@pytest.mark.parametrize("said", [one.value for one in ErrorCode if one is not ErrorCode.CANCELED])
def test_what_the_worker_said(said: str) -> None:
    assert code(reading(failed_pod(said))) == said


def test_a_worker_that_said_nothing() -> None:
    assert code(reading(ended_pod(1))) == "internal_error"
    assert code(reading(ended_pod(0))) == "internal_error"
    assert code(reading(ended_pod(137))) == "worker_lost"
    assert code(reading(ended_pod(1, '{"outcome":"fai'))) == "internal_error"


@pytest.mark.parametrize(
    ("exit_code", "reason"), [(255, "Unknown"), (137, "ContainerStatusUnknown")]
)
def test_a_node_that_was_started_anew_has_lost_its_worker(exit_code: int, reason: str) -> None:
    assert code(reading(ended_pod(exit_code, reason=reason))) == "worker_lost"
    going = ended_pod(exit_code, reason=reason, deleting_since=NOW)
    assert code(reading(going)) == "worker_lost"


def test_a_pod_that_is_gone_is_read_from_its_job() -> None:
    assert code(reading(None, no_job=True)) == "worker_lost"
    assert code(reading(None, of=job(deleting=True))) == "worker_lost"
    assert reading(None) is None, "it has no pod yet"
    failed: dict[str, Any] = {"failed_reason": "PodFailurePolicy"}
    message = "Container worker for pod ns/x failed with exit code 1 matching FailJob rule at 1"
    assert code(reading(None, of=job(failed_message=message, **failed))) == "internal_error"
    # The pod that it told why was deleted before that was read; a reboot of its node ended it.
    for told in (10, 11, 255):
        gone = job(failed_message=message.replace("code 1 ", f"code {told} "), **failed)
        assert code(reading(None, of=gone)) == "worker_lost"
    message = "Pod ns/x has condition DisruptionTarget matching FailJob rule at index 0"
    assert code(reading(None, of=job(failed_message=message, **failed))) == "worker_disrupted"
    assert code(reading(None, of=job(failed_reason="BackoffLimitExceeded"))) == "worker_lost"


def test_a_worker_that_is_fine() -> None:
    assert reading(running_pod()) is None


@given(st.text(max_size=200), st.integers(0, 255), st.sampled_from(["", "Error", "OOMKilled"]))
def test_any_end_is_read_as_something(message: str, exit_code: int, reason: str) -> None:
    end = ContainerTermination(exit_code, reason, message)
    pod = replace(completed_pod(), terminated=end, phase="Failed")
    assert reading(pod) is not None or (end.report and end.report.outcome == "completed")
