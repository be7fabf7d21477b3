"""Where a SplitJob stands, read from its conditions and never from its phase."""

from enum import StrEnum
from typing import Any

from splitjob import conditions
from splitjob.conditions import ConditionType
from splitjob.errors import ErrorCode, reason_of
from splitjob.resource import ANNOTATION_GENERATION, read_status


class Standing(StrEnum):
    """The states of a job that callers are told."""

    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"

    @property
    def finished(self) -> bool:
        """Whether nothing more will become of the job."""
        return self in {Standing.COMPLETED, Standing.FAILED, Standing.CANCELED}

    @property
    def waiting(self) -> bool:
        """Whether no worker has started yet."""
        return self in {Standing.QUEUED, Standing.STARTING}


def standing(splitjob: dict[str, Any]) -> Standing:
    """Return where a SplitJob stands.

    Args:
        splitjob: the object as the cluster holds it; without a status it is queued.
    """
    stored = splitjob.get("status", {}).get("conditions", [])
    known = read_status({"conditions": stored}).conditions
    succeeded = conditions.find(known, ConditionType.SUCCEEDED)
    if succeeded is not None and succeeded.status == "True":
        return Standing.COMPLETED
    if succeeded is not None and succeeded.status == "False":
        canceled = succeeded.reason == reason_of(ErrorCode.CANCELED)
        return Standing.CANCELED if canceled else Standing.FAILED
    if conditions.is_true(known, ConditionType.STARTED):
        return Standing.RUNNING
    admitted = conditions.is_true(known, ConditionType.ADMITTED)
    return Standing.STARTING if admitted else Standing.QUEUED


def generation(splitjob: dict[str, Any]) -> int:
    """Return the how many-th SplitJob of its intent this is, from 0; 0 where it does not say."""
    annotations = splitjob["metadata"].get("annotations") or {}
    text = annotations.get(ANNOTATION_GENERATION, "0")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
