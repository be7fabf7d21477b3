"""The metrics of the operator, for Prometheus."""

from collections.abc import Iterable

from prometheus_client import Counter, Gauge, Histogram

from splitjob.lifecycle import LifecycleState
from splitjob.status import SplitJobStatus
from splitjob_operator.core.cached_splitjob import CachedSplitJob
from splitjob_operator.core.observed import SplitJob

__all__ = [
    "ATTEMPTS",
    "DELIVERIES",
    "FINISHED",
    "INPUTS_SWEPT",
    "INPUT_SWEEPS",
    "LEADER",
    "LEADER_TRANSITIONS",
    "RECONCILES",
    "RESYNC_AGE",
    "RUN_SECONDS",
    "UNREADY",
    "WAIT_SECONDS",
    "observe_change",
    "observe_stages",
]

_BUCKETS = (1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400)

JOBS = Gauge("splitjob_jobs", "SplitJobs by stage.", ["stage"])
FINISHED = Counter("splitjob_finished", "Verdicts given.", ["event", "code"])
ATTEMPTS = Counter("splitjob_attempts", "Attempts started.")
DELIVERIES = Counter("splitjob_webhook_attempts", "Final webhooks tried.", ["outcome"])
RECONCILES = Histogram("splitjob_reconcile_seconds", "Time to reconcile one SplitJob.", ["outcome"])
RESYNC_AGE = Gauge("splitjob_resync_age_seconds", "Since the last full resync.")
LEADER = Gauge("splitjob_leader", "1 while this replica leads, 0 while it stands by.")
LEADER_TRANSITIONS = Counter(
    "splitjob_leader_transitions", "Times that this replica began to lead, or to stand by.", ["to"]
)
for _role in ("leader", "standby"):
    LEADER_TRANSITIONS.labels(_role)
UNREADY = Gauge("splitjob_unready", "1 for each reason why the operator is not ready.", ["reason"])
INPUTS_SWEPT = Counter(
    "splitjob_inputs_swept", "Files from POST /uploads deleted because no job used them."
)
INPUT_SWEEPS = Counter(
    "splitjob_input_sweeps", "Looks through the files from POST /uploads.", ["outcome"]
)
for _outcome in ("done", "failed"):
    INPUT_SWEEPS.labels(_outcome)  # there from the start, so that the first failure is a rise
RUN_SECONDS = Histogram(
    "splitjob_run_seconds", "From a worker's start to the verdict.", ["model"], buckets=_BUCKETS
)
WAIT_SECONDS = Histogram(
    "splitjob_wait_seconds", "From a job's creation to its worker's start.", buckets=_BUCKETS
)

STAGES = ("held", "waiting", "pending", "running", "finished")


def observe_stages(entries: Iterable[CachedSplitJob]) -> None:
    """Set how many SplitJobs are at each stage."""
    counts = dict.fromkeys(STAGES, 0)
    for entry in entries:
        counts[_stage(entry.state)] += 1
    for stage, count in counts.items():
        JOBS.labels(stage).set(count)


def _stage(state: LifecycleState) -> str:
    """Return the label of a lifecycle state: dashboards tell fewer apart."""
    if state.finished:
        return "finished"
    if state is LifecycleState.RUNNING:
        return "running"
    if state.active:
        return "pending"
    return "waiting" if state is LifecycleState.QUEUED else "held"


def observe_change(splitjob: SplitJob, status: SplitJobStatus) -> None:
    """Count what a status that was just written tells anew.

    Args:
        splitjob: as it was before.
        status: what was written.
    """
    before = splitjob.status
    if len(status.attempts) > len(before.attempts):
        ATTEMPTS.inc()
    if status.started_at and not before.started_at:
        waited = (status.started_at - splitjob.created_at).total_seconds()
        WAIT_SECONDS.observe(max(0, waited))
    if status.finished_at and not before.finished_at and status.webhook:
        code = status.failure.code if status.failure else ""
        FINISHED.labels(status.webhook.event, code).inc()
        if status.started_at and splitjob.spec:
            ran = (status.finished_at - status.started_at).total_seconds()
            RUN_SECONDS.labels(splitjob.spec.request.model).observe(max(0, ran))
