"""The status as the API server holds it: absent rather than null, times in whole seconds."""

from datetime import UTC, datetime
from typing import Any

from splitjob.status import SplitJobStatus

__all__ = ["dump_status"]


def dump_status(status: SplitJobStatus) -> dict[str, Any]:
    """Return the JSON of a status, times as Kubernetes writes them."""
    fields = status.model_dump(by_alias=True, exclude_none=True)
    return {name: _with_times_as_text(value) for name, value in fields.items()}


def _with_times_as_text(value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, dict):
        return {key: _with_times_as_text(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_with_times_as_text(inner) for inner in value]
    return value
