"""JSON logs: one object a line, the job's names on each, no secret in any.

Messages are written without secrets in the first place; the redaction here is the second net. It
takes the query of every URL, signed-URL parameters that stand alone, and the configured secrets,
wherever in a record they stand, exception texts included.
"""

import logging
import re
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, TextIO

from pythonjsonlogger.json import JsonFormatter

REDACTED = "[redacted]"
_MIN_SECRET_LENGTH = 6  # shorter ones would blot out ordinary words
_URL = re.compile(r"(?i)\b(https?://)(?:[^\s/?#\"'<>]*@)?([^\s?#\"'<>\\]*)([?#][^\s\"'<>\\]*)?")
_PARAMETER = re.compile(
    r"(?i)\b(X-(?:Amz|Goog)-(?:Signature|Credential|Security-Token)|Signature|AWSAccessKeyId|sig)"
    r"=[^&\s\"'<>\\]+"
)

_NOTHING: Mapping[str, str] = MappingProxyType({})
_context: ContextVar[Mapping[str, str]] = ContextVar("log_context", default=_NOTHING)


def setup(
    component: str,
    *,
    level: str | int = "INFO",
    secrets: Iterable[str | None] = (),
    out: TextIO | None = None,
) -> None:
    """Make this process log JSON, replacing whatever handlers the root logger has.

    Args:
        component: `api`, `operator`, `worker` or `local`; a field of each line.
        level: the lowest level that is written.
        secrets: values that must never be written (tokens, keys).
        out: where the lines go; standard error by default (the worker's standard output belongs
            to its progress lines).
    """
    handler = logging.StreamHandler(out or sys.stderr)
    handler.setFormatter(RedactingFormatter(component, secrets))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    for chatty in ("httpx", "httpcore", "botocore", "boto3", "urllib3"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    logging.getLogger("opentelemetry").setLevel(logging.ERROR)  # else each try to export is told


@contextmanager
def log_context(
    *,
    job_id: str | None = None,
    version_id: str | None = None,
    correlation_id: str | None = None,
    **more: str | None,
) -> Iterator[None]:
    """Put jobId, versionId and correlationId on every line logged inside, in this thread or task.

    Args:
        job_id: the SplitJob's name.
        version_id: the caller's name of the song version.
        correlation_id: the caller's correlation id.
        more: further fields, under their own names.
    """
    fields = {"jobId": job_id, "versionId": version_id, "correlationId": correlation_id, **more}
    known = {name: value for name, value in fields.items() if value is not None}
    token = _context.set({**_context.get(), **known})
    try:
        yield
    finally:
        _context.reset(token)


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Return a text without the queries and users of its URLs, and without the given secrets."""
    for secret in secrets:
        text = text.replace(secret, REDACTED)
    if "://" in text:  # the patterns cost more than the rest of a line, and few texts have either
        text = _URL.sub(_bare_url, text)
    return _PARAMETER.sub(rf"\1={REDACTED}", text) if "=" in text else text


def _bare_url(match: re.Match[str]) -> str:
    return match[1] + match[2] + (f"?{REDACTED}" if match[3] else "")


class RedactingFormatter(JsonFormatter):
    """Formats records as JSON with the context's fields, everything redacted.

    Args:
        component: a field of each line.
        secrets: values that must never be written; None and very short ones are passed over.
    """

    converter = staticmethod(time.gmtime)

    def __init__(self, component: str, secrets: Iterable[str | None] = ()) -> None:
        super().__init__(
            "{message}",
            style="{",
            static_fields={"component": component},
            reserved_attrs=[*logging.makeLogRecord({}).__dict__, "color_message", "taskName"],
        )
        parts = {
            part.strip() for secret in secrets if secret for part in (secret, *secret.split(","))
        }
        self._secrets = sorted(
            (part for part in parts if len(part) >= _MIN_SECRET_LENGTH), key=len, reverse=True
        )

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        """Return the fields of one line, redacted."""
        return {name: self._clean(value) for name, value in log_data.items()}

    def add_fields(
        self,
        log_data: dict[str, Any],
        record: logging.LogRecord,
        message_dict: dict[str, Any],
    ) -> None:
        """Fill in the fields of one line."""
        moment = self.formatTime(record, "%Y-%m-%dT%H:%M:%S")
        log_data["time"] = f"{moment}.{int(record.msecs):03d}Z"
        log_data["level"] = record.levelname.lower()
        log_data["logger"] = record.name
        super().add_fields(log_data, record, message_dict)
        log_data.update(_context.get())

    def _clean(self, value: object) -> object:
        if isinstance(value, dict):
            return {str(name): self._clean(inner) for name, inner in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self._clean(inner) for inner in value]
        if value is None or isinstance(value, bool | int | float):
            return value
        return redact(str(value), self._secrets)
