"""What the commands print: tables for people, JSON for programs."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from splitjob_client import Job, Stem
from splitjob_client.answers import Answer

_AGES = ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))
_INNER_CAPITAL = re.compile(r"(?<=[a-z])(?=[A-Z])")
QUEUED = "queued"
LOADING, REST_OF_LOADING = "load", "rest of load"  # the model is loaded beside the source's stages
BESIDE = ("fetch", "decode")
STAGES = (*BESIDE, REST_OF_LOADING, "separate", "encode", "upload")
LEAST_MS = 50  # what would be shown as 0.0 s
JOB_COLUMNS = ("JOB", "VERSION", "MODEL", "STATE", "DETAIL", "AGE")


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return rows below their columns' names, each column as wide as it needs."""
    lines = [columns, *rows]
    widths = [max(len(line[place]) for line in lines) for place in range(len(columns))]
    return "\n".join(
        "   ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def as_json(answer: Answer, **more: object) -> str:
    """Return an answer as the service gave it, on one line."""
    fields: dict[str, Any] = answer.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return json.dumps({**fields, **more}, ensure_ascii=False)


def job_row(job: Job) -> tuple[str, ...]:
    """Return a job as a row below `JOB_COLUMNS`."""
    return (
        job.job_id,
        clean(job.version_id),
        clean(job.ai_model),
        job.state,
        clean(detail(job)),
        age(job.created_at),
    )


def detail(job: Job) -> str:
    """Return, in a few words, how far a job is, why it waits, or what came of it."""
    if told := _outcome(job):
        return told
    if job.progress:
        return f"{job.progress.stage} {job.progress.percent} %"
    if job.queue and not job.finished:
        eta = job.queue.eta_seconds
        return ", ".join([*why_it_waits(job), *([f"done in {about(eta)}"] if eta else [])])
    return f"webhook {words(job.webhook.state)}" if job.webhook else ""


def why_it_waits(job: Job) -> list[str]:
    """Return, in words that its state does not say already, why a job does not run yet."""
    if job.queue is None or job.finished:
        return []
    reason = words(job.queue.reason)
    told = [reason] if reason not in {"", job.state} else []
    placed = job.queue.position and job.state == QUEUED
    return [*told, f"place {job.queue.position}"] if placed else told


def message_of(job: Job) -> str:
    """Return the service's sentence on why a job does not run; blank where its place says all."""
    if job.queue is None or job.finished or words(job.queue.reason) == QUEUED:
        return ""
    return clean(job.queue.message)


def words(name: str) -> str:
    """Return a name for programs, such as `PullingImage`, as words for people: `pulling image`."""
    return _INNER_CAPITAL.sub(" ", name).lower()


def _outcome(job: Job) -> str:
    """Return the code of a failure; blank where the state says as much."""
    return job.failure.code if job.failure and job.failure.code != job.state else ""


def job_page(job: Job) -> str:
    """Return all that is known of a job, for people."""
    lines = {
        "job": job.job_id,
        "version": job.version_id,
        "correlation": job.correlation_id,
        "model": job.ai_model,
        "state": _state(job),
        "waits": message_of(job),
        "failure": _failure(job),
        "created": _moment(job.created_at),
        "started": _moment(job.started_at),
        "finished": _moment(job.finished_at),
        "attempts": str(job.attempts),
        "gpu seconds": f"{job.gpu_seconds:.1f}" if job.gpu_seconds else None,
        "time taken": time_taken(job.result.timings) if job.result else None,
        "webhook": _webhook(job),
        "erased": _moment(job.erased.at) if job.erased else None,
    }
    told = [f"{name:<12} {clean(text)}" for name, text in lines.items() if text]
    stems = ["", stem_table(job.result.stems)] if job.result and job.result.stems else []
    return "\n".join([*told, *stems])


def stem_table(stems: Iterable[Stem]) -> str:
    """Return the files that a job gave."""
    rows = [
        (
            stem.type,
            stem.format,
            f"{stem.duration:.1f} s",
            f"{stem.size / 1e6:.1f} MB",
            "silent" if stem.silent else "",
            clean(stem.url),
        )
        for stem in stems
    ]
    return table(("STEM", "FORMAT", "LENGTH", "SIZE", "", "URL"), rows)


def age(moment: datetime) -> str:
    """Return how long ago something was, as kubectl says it."""
    seconds = int((datetime.now(UTC) - moment).total_seconds())
    for size, unit in _AGES:
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return "0s"


def about(seconds: float) -> str:
    """Return a time to wait, in words that claim no more than is known."""
    if seconds < 90:
        return f"about {max(1, round(seconds))} s"
    if seconds < 5400:
        return f"about {round(seconds / 60)} min"
    return f"about {seconds / 3600:.1f} h"


def clean(text: str) -> str:
    """Return what others wrote so that it cannot move the cursor of a terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def time_taken(timings: Mapping[str, int]) -> str:
    """Return how long each stage took, one after another, and what ran beside them.

    Args:
        timings: milliseconds, by stage.
    """
    loading = timings.get(LOADING, 0)
    in_turn = {**timings, REST_OF_LOADING: loading - sum(timings.get(one, 0) for one in BESIDE)}
    told = [
        f"{stage} {in_turn[stage] / 1000:.1f} s"
        for stage in STAGES
        if in_turn.get(stage, 0) >= LEAST_MS
    ]
    beside = f"; loading the model {loading / 1000:.1f} s, begun with fetch" if loading else ""
    return ", ".join(told) + beside


def _state(job: Job) -> str:
    """Return its state, and what else there is to say that no other line says."""
    more = _outcome(job) if job.finished else detail(job)
    return f"{job.state} ({more})" if more else job.state


def _failure(job: Job) -> str | None:
    """Return why there are no stems, where that is more than that it was canceled."""
    if job.failure is None or job.failure.message == f"The job was {job.state}.":
        return None
    return job.failure.message


def _webhook(job: Job) -> str | None:
    if job.webhook is None:
        return None
    error = f": {job.webhook.last_error}" if job.webhook.last_error else ""
    return f"{job.webhook.event}, {words(job.webhook.state)}{error}"


def _moment(moment: datetime | None) -> str | None:
    return moment.astimezone().isoformat(sep=" ", timespec="seconds") if moment else None
