"""Traces: where a span belongs (W3C Trace Context), and spans as the facts that they are.

A span is told once it is over. Whoever needs its place before that, as a child does, has it
already: the ids of those that several processes speak of derive from what they are about.
Source: https://www.w3.org/TR/trace-context/ (version 00)
"""

import hashlib
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol, Self

__all__ = ["TRACEPARENT", "Span", "SpanKind", "SpanSink", "TraceContext"]

TRACEPARENT = "traceparent"  # the header
_TRACEPARENT = re.compile(r"(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_TRACE_ID_LENGTH, _SPAN_ID_LENGTH = 32, 16
_SAMPLED = 1

SpanKind = Literal["internal", "server", "client"]


@dataclass(frozen=True, slots=True)
class TraceContext:
    """A span's place.

    Attributes:
        trace_id: 32 hexadecimal digits, not all 0.
        span_id: 16 hexadecimal digits, not all 0.
        sampled: whether its trace is kept.
    """

    trace_id: str
    span_id: str
    sampled: bool = True

    @classmethod
    def parse(cls, traceparent: str | None) -> Self | None:
        """Read a `traceparent`; None where there is none, or it is not valid."""
        found = _TRACEPARENT.fullmatch((traceparent or "").strip())
        if found is None:
            return None
        version, trace_id, span_id, flags, more = found.groups()
        if (more and version == "00") or not (int(trace_id, 16) and int(span_id, 16)):
            return None
        return cls(trace_id, span_id, sampled=bool(int(flags, 16) & _SAMPLED))

    @classmethod
    def new(cls, subject: str, *, sampled: bool = True) -> Self:
        """Return the first place of a trace of its own, the same for the same subject.

        Args:
            subject: what the trace is about, as nothing else is; blank: chance decides.
            sampled: whether it is kept.
        """
        trace_id = _digits("trace", subject, _TRACE_ID_LENGTH)
        return cls(trace_id, _digits(trace_id, subject, _SPAN_ID_LENGTH), sampled)

    @property
    def traceparent(self) -> str:
        """The header's value."""
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"

    def child(self, subject: str = "") -> "TraceContext":
        """Return the place of another span of this trace, the same for the same subject.

        Args:
            subject: what the span is about, as no other of the trace is; blank: chance decides.
        """
        span_id = _digits(self.trace_id, subject, _SPAN_ID_LENGTH)
        return TraceContext(self.trace_id, span_id, self.sampled)


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Something that took its time, and is over.

    Attributes:
        name: what was done, one of few.
        context: its place.
        parent: what it was a part of; None: it is the whole of its trace.
        began, ended: with a time zone.
        error: a code of few, such as `error.type` takes; blank: it went well.
        attributes: what else is told, with nothing that is secret or a caller's own.
    """

    name: str
    context: TraceContext
    parent: TraceContext | None
    began: datetime
    ended: datetime
    kind: SpanKind = "internal"
    error: str = ""
    attributes: Mapping[str, str | int] = field(default_factory=dict)


class SpanSink(Protocol):
    """Takes spans for whoever shows traces."""

    def enter(self, parent: TraceContext | None, subject: str = "") -> TraceContext:
        """Return the place of the first span here of a trace, and decide whether that is kept.

        Args:
            parent: where the caller's own span is; None: a trace begins here.
            subject: as `TraceContext.new` and `TraceContext.child` have it.
        """

    def tell(self, span: Span) -> None:
        """Take a span; it never fails, waits for nobody, and what cannot be told is dropped."""


def _digits(scope: str, subject: str, length: int) -> str:
    if not subject:
        return secrets.token_hex(length // 2)
    return hashlib.sha256(f"{scope}\0{subject}".encode()).hexdigest()[:length]
