"""The metrics of the operator, for Prometheus: their names, labels and buckets.

Every label has few values, known beforehand, so that no caller can make another series. Only what
leads counts and measures jobs, so that a sum over the replicas counts nothing twice; what it has
counted ends with its process, the totals of the installation are in `GET /queue/status`.
"""

from prometheus_client import Counter, Gauge, Histogram, Summary

from splitjob.errors import RETRY_RULES, ErrorCode

__all__ = [
    "ATTEMPTS",
    "DELIVERIES",
    "END_TO_END_SECONDS",
    "ETA_ERROR_SECONDS",
    "ETA_TOLD_SECONDS",
    "ETA_TRUE_SECONDS",
    "EVENTS_LOST",
    "FINISHED",
    "GPU_SECONDS",
    "INPUTS_SWEPT",
    "INPUT_SWEEPS",
    "LEADER",
    "LEADER_TRANSITIONS",
    "OTHER",
    "RECONCILES",
    "RESYNCS",
    "RESYNC_AGE",
    "RETRIES",
    "RUN_SECONDS",
    "START_SECONDS",
    "UNREADY",
    "WAIT_SECONDS",
    "WATCH_FAILURES",
    "WATCH_STARTS",
    "WEBHOOKS_GIVEN_UP",
    "WEBHOOK_DELAY_SECONDS",
    "code_label",
    "count_watch",
]

OTHER = "other"  # the label of whatever is not known beforehand
_BUCKETS = (1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400)
_DELAYS = (0.5, 1, 2.5, 5, 10, 30, 60, 300, 600, 3600, 21600, 86400, 270000)
_ERRORS = (5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600)
_KINDS = ("SplitJob", "Job", "Pod")

# How long jobs take.
WAIT_SECONDS = Histogram(
    "splitjob_wait_seconds", "From a job's creation to its worker's start.", buckets=_BUCKETS
)
START_SECONDS = Histogram(
    "splitjob_start_seconds",
    "From the decision to start an attempt to its worker's start: scheduler, image, container.",
    buckets=_BUCKETS,
)
RUN_SECONDS = Histogram(
    "splitjob_run_seconds", "From a worker's start to the verdict.", ["model"], buckets=_BUCKETS
)
END_TO_END_SECONDS = Histogram(
    "splitjob_end_to_end_seconds",
    "From a job's creation to its verdict.",
    ["event"],
    buckets=_BUCKETS,
)
ETA_ERROR_SECONDS = Histogram(
    "splitjob_eta_error_seconds",
    "By how much jobs were completed earlier or later than what was first told of them.",
    ["direction"],
    buckets=_ERRORS,
)
ETA_TOLD_SECONDS = Summary(
    "splitjob_eta_told_seconds", "The first etaSeconds told of each job that was completed."
)
ETA_TRUE_SECONDS = Summary("splitjob_eta_true_seconds", "How long the same jobs took from then on.")

# How they end, and what they cost.
FINISHED = Counter("splitjob_finished", "Verdicts given.", ["event", "code"])
ATTEMPTS = Counter("splitjob_attempts", "Attempts started.")
RETRIES = Counter(
    "splitjob_retries", "Attempts that ended and are followed by another one, by why.", ["code"]
)
GPU_SECONDS = Counter(
    "splitjob_gpu_seconds",
    "For how long containers of workers held their resources, a GPU or where there is none cores "
    "alone: used for separating, idle beside that, or lost with an attempt.",
    ["model", "use"],
)

# Webhooks.
DELIVERIES = Counter("splitjob_webhook_attempts", "Final webhooks tried.", ["outcome"])
WEBHOOK_DELAY_SECONDS = Histogram(
    "splitjob_webhook_delay_seconds",
    "From a job's verdict to the delivery of its final webhook, by who delivered it.",
    ["by"],
    buckets=_DELAYS,
)
WEBHOOKS_GIVEN_UP = Counter(
    "splitjob_webhooks_given_up", "Final webhooks that are not tried any more, in vain."
)

# The operator itself.
RECONCILES = Histogram("splitjob_reconcile_seconds", "Time to reconcile one SplitJob.", ["outcome"])
RESYNC_AGE = Gauge("splitjob_resync_age_seconds", "Since the last full resync.")
RESYNCS = Histogram(
    "splitjob_resync_seconds",
    "Time to list everything.",
    buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
WATCH_STARTS = Counter(
    "splitjob_watch_starts", "Watches begun: each ends after some minutes by itself.", ["kind"]
)
WATCH_FAILURES = Counter(
    "splitjob_watch_failures", "Watches that the API server refused or broke off.", ["kind"]
)
LEADER = Gauge("splitjob_leader", "1 while this replica leads, 0 while it stands by.")
LEADER_TRANSITIONS = Counter(
    "splitjob_leader_transitions", "Times that this replica began to lead, or to stand by.", ["to"]
)
UNREADY = Gauge("splitjob_unready", "1 for each reason why the operator is not ready.", ["reason"])
EVENTS_LOST = Counter("splitjob_events_lost", "Kubernetes Events that could not be posted.")
INPUTS_SWEPT = Counter(
    "splitjob_inputs_swept", "Files from POST /uploads deleted because no job used them."
)
INPUT_SWEEPS = Counter(
    "splitjob_input_sweeps", "Looks through the files from POST /uploads.", ["outcome"]
)

_CODES = frozenset(ErrorCode)


def code_label(code: str) -> str:
    """Return a code of a failure, or `other` of one that this version does not know."""
    return code if code in _CODES else OTHER


def count_watch(kind: str, granted: bool) -> None:
    """Count a watch that was begun, or one that was refused or broken off."""
    (WATCH_STARTS if granted else WATCH_FAILURES).labels(kind).inc()


def _begin_at_zero() -> None:
    """Have the series of failures there from the start, so that the first one is a rise."""
    for code in ErrorCode:
        event = "canceled" if code is ErrorCode.CANCELED else "failed"
        FINISHED.labels(event, code.value)
    FINISHED.labels("completed", "")
    for code in RETRY_RULES:
        RETRIES.labels(code.value)
    for kind in _KINDS:
        WATCH_STARTS.labels(kind)
        WATCH_FAILURES.labels(kind)
    for metric, values in (
        (DELIVERIES, ("delivered", "failed")),
        (LEADER_TRANSITIONS, ("leader", "standby")),
        (INPUT_SWEEPS, ("done", "failed")),
        (RECONCILES, ("done", "conflict", "error")),
        (ETA_ERROR_SECONDS, ("early", "late")),
        (END_TO_END_SECONDS, ("completed", "failed", "canceled")),
        (WEBHOOK_DELAY_SECONDS, ("worker", "operator")),
    ):
        for value in values:
            metric.labels(value)


_begin_at_zero()
