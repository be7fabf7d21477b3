"""The status as the API server holds it: absent rather than null, times in whole seconds."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

from pydantic.alias_generators import to_camel

from splitjob.resource import Model
from splitjob.status import Attempt, SplitJobStatus

__all__ = ["dump_status", "keep_unknown"]


def dump_status(status: SplitJobStatus) -> dict[str, Any]:
    """Return the JSON of a status, times as Kubernetes writes them."""
    fields = status.model_dump(by_alias=True, exclude_none=True)
    return {name: _with_times_as_text(value) for name, value in fields.items()}


def keep_unknown(status: dict[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """Return a status with what a newer version has added to it, and to its attempts.

    During an upgrade an older one may lead for a while. What it writes as a whole, such as a
    condition or the outbox, is as it knows it.

    Args:
        status: as this version writes it.
        before: as the API server has it.
    """
    kept = {**_unknown(SplitJobStatus, before), **status}
    if "attempts" in status:
        attempts = {one.get("number"): one for one in before.get("attempts", [])}
        kept["attempts"] = [
            {**_unknown(Attempt, attempts.get(one["number"], {})), **one}
            for one in status["attempts"]
        ]
    return kept


def _unknown(model: type[Model], raw: Mapping[str, Any]) -> dict[str, Any]:
    known = _names(model)
    return {name: value for name, value in raw.items() if name not in known}


@cache
def _names(model: type[Model]) -> frozenset[str]:
    """Return what the fields of a model are called in the cluster."""
    return frozenset(map(to_camel, model.model_fields))


def _with_times_as_text(value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, dict):
        return {key: _with_times_as_text(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_with_times_as_text(inner) for inner in value]
    return value
