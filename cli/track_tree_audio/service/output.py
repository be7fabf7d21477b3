"""What the commands print: tables for people, JSON for programs."""

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from splitjob_client import Job, Stem
from splitjob_client.answers import Answer

_AGES = ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))
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
    if job.failure:
        return job.failure.code
    if job.progress:
        return f"{job.progress.stage} {job.progress.percent} %"
    if job.queue and not job.finished:
        place = f"place {job.queue.position}" if job.queue.position else job.queue.reason
        return f"{place}, {about(job.queue.eta_seconds)}" if job.queue.eta_seconds else place
    return f"webhook {job.webhook.state}" if job.webhook else ""


def job_page(job: Job) -> str:
    """Return all that is known of a job, for people."""
    lines = {
        "job": job.job_id,
        "version": job.version_id,
        "correlation": job.correlation_id,
        "model": job.ai_model,
        "state": " ".join([job.state, *([f"({detail(job)})"] if detail(job) else [])]),
        "waits": job.queue.message if job.queue and not job.finished else None,
        "failure": job.failure.message if job.failure else None,
        "created": _moment(job.created_at),
        "started": _moment(job.started_at),
        "finished": _moment(job.finished_at),
        "attempts": str(job.attempts),
        "gpu seconds": f"{job.gpu_seconds:.1f}" if job.gpu_seconds else None,
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


def _webhook(job: Job) -> str | None:
    if job.webhook is None:
        return None
    error = f": {job.webhook.last_error}" if job.webhook.last_error else ""
    return f"{job.webhook.event}, {job.webhook.state}{error}"


def _moment(moment: datetime | None) -> str | None:
    return moment.astimezone().isoformat(sep=" ", timespec="seconds") if moment else None
