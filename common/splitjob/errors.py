"""Every way a job can fail, in one table: its code, whether another attempt may help, its meaning.

Failure                     a job-level failure with one of the codes below
ErrorCode                   the stable codes (webhook `errorCode`, worker result)
reason_of / code_of         code <-> CamelCase reason of the condition Succeeded=False
"""

from enum import StrEnum
from typing import NamedTuple


class ErrorCode(StrEnum):
    """Stable codes of a failed job: what a webhook says in `errorCode`."""

    SOURCE_FORBIDDEN = "source_forbidden"
    SOURCE_NOT_FOUND = "source_not_found"
    SOURCE_EXPIRED = "source_expired"
    SOURCE_UNAVAILABLE = "source_unavailable"
    SOURCE_TIMEOUT = "source_timeout"
    SOURCE_INCOMPLETE = "source_incomplete"
    SOURCE_TOO_LARGE = "source_too_large"
    AUDIO_UNREADABLE = "audio_unreadable"
    AUDIO_UNSUPPORTED = "audio_unsupported"
    AUDIO_TOO_SHORT = "audio_too_short"
    AUDIO_TOO_LONG = "audio_too_long"
    AUDIO_TIMEOUT = "audio_timeout"
    MODEL_UNAVAILABLE = "model_unavailable"
    WORKER_OOM = "worker_oom"
    GPU_OOM = "gpu_oom"
    GPU_ERROR = "gpu_error"
    WORKER_IMAGE = "worker_image"
    WORKER_CONFIG = "worker_config"
    WORKER_STORAGE = "worker_storage"
    WORKER_LOST = "worker_lost"
    WORKER_DISRUPTED = "worker_disrupted"
    NO_CAPACITY = "no_capacity"
    DEADLINE_EXCEEDED = "deadline_exceeded"
    UPLOAD_FAILED = "upload_failed"
    CANCELED = "canceled"
    REQUEST_INVALID = "request_invalid"
    INTERNAL_ERROR = "internal_error"


class RetryRule(NamedTuple):
    """Whether, when and how the operator tries again after a failure of one code.

    Attributes:
        attempts: how many further attempts this code alone may cause.
        immediate: the failure was not the job's own: the next attempt need not wait.
        more_memory: all later attempts get the higher memory limit (`WORKER_MEMORY_RETRY`).
    """

    attempts: int
    immediate: bool = False
    more_memory: bool = False


NEVER = RetryRule(0)
TRANSIENT = RetryRule(2)

RETRY_RULES: dict[ErrorCode, RetryRule] = {
    ErrorCode.SOURCE_UNAVAILABLE: TRANSIENT,
    ErrorCode.SOURCE_TIMEOUT: TRANSIENT,
    ErrorCode.SOURCE_INCOMPLETE: TRANSIENT,
    ErrorCode.WORKER_OOM: RetryRule(1, more_memory=True),
    ErrorCode.GPU_ERROR: TRANSIENT,
    ErrorCode.WORKER_IMAGE: RetryRule(1),
    ErrorCode.WORKER_CONFIG: RetryRule(1),
    ErrorCode.WORKER_STORAGE: RetryRule(1),
    ErrorCode.WORKER_LOST: RetryRule(5, immediate=True),
    ErrorCode.WORKER_DISRUPTED: RetryRule(5, immediate=True),
    ErrorCode.UPLOAD_FAILED: TRANSIENT,  # where the worker says so: 5xx, never 4xx
    ErrorCode.INTERNAL_ERROR: RetryRule(1),
}


# Whoever deletes a worker's Job twice means it; a lost node or pod says nothing of the song.
JOB_DELETED = RetryRule(1, immediate=True)


def retry_rule(code: ErrorCode) -> RetryRule:
    """Return whether, when and how the operator tries again after a failure of this code."""
    return RETRY_RULES.get(code, NEVER)


def reason_of(code: ErrorCode) -> str:
    """Return the condition reason of a code: `source_not_found` becomes `SourceNotFound`."""
    return "".join(word.capitalize() for word in code.value.split("_"))


REASONS: dict[str, ErrorCode] = {reason_of(code): code for code in ErrorCode}


def code_of(reason: str) -> ErrorCode:
    """Return the code behind a condition reason; `INTERNAL_ERROR` for one of a newer version."""
    return REASONS.get(reason, ErrorCode.INTERNAL_ERROR)


def known_code(code: str) -> ErrorCode:
    """Return a code as an enumeration has it; `INTERNAL_ERROR` for one of a newer version.

    During an upgrade, or after one that was taken back, an older version meets what it wrote.
    """
    try:
        return ErrorCode(code)
    except ValueError:
        return ErrorCode.INTERNAL_ERROR


class Failure(Exception):  # noqa: N818 - the domain's word: a job fails with a code, it has no defect
    """A job cannot be completed.

    Args:
        code: one of the stable codes.
        message: a sentence for the caller: what is wrong, with what, what to do. Never a secret.
        retryable: whether another attempt may succeed; by default what the code's rule says
            (`upload_failed` decides by the storage's answer).
    """

    def __init__(self, code: ErrorCode, message: str, *, retryable: bool | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        by_default = retry_rule(code).attempts > 0 and code is not ErrorCode.UPLOAD_FAILED
        self.retryable = by_default if retryable is None else retryable
