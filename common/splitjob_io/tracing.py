"""Whether a process tells spans, as OpenTelemetry's variables say; off where none of them is set.

Nothing of OpenTelemetry is imported until a process is known to tell any: where it tells none, that
costs neither time nor memory.
Source: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from splitjob_io.otlp import OtlpSpans

__all__ = ["open_spans", "traces_wanted"]

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


def traces_wanted(environment: Mapping[str, str]) -> bool:
    """Return whether a process is to tell spans: an endpoint is set, or the exporter `otlp`."""
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    if exporters := environment.get("OTEL_TRACES_EXPORTER", "").strip():
        return "otlp" in {name.strip() for name in exporters.split(",")}
    return any(environment.get(name, "").strip() for name in ENDPOINTS)


def open_spans(part: str) -> "OtlpSpans | None":
    """Return this process's way to a collector of spans; None: it tells none.

    Args:
        part: `api`, `operator` or `worker`.
    """
    if not traces_wanted(os.environ):
        return None
    from splitjob_io.otlp import OtlpSpans

    return OtlpSpans(part)
