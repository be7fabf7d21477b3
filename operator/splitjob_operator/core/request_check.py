"""Whether a request can be served: what the API checked is checked again, whoever wrote it."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from splitjob import workload
from splitjob.addresses import Network
from splitjob.allowlist import Allowlist
from splitjob.errors import ErrorCode
from splitjob.models import ModelRecord
from splitjob.presigned import expiry
from splitjob.request import problems
from splitjob.resource import SECRET_TYPE, Request
from splitjob_operator.core.lookups import Problem

__all__ = ["Rules", "judge", "urls_in"]


@dataclass(frozen=True)
class Rules:
    """What an installation allows.

    Attributes:
        allowlist: where webhooks may go.
        registry: the models offered.
        local: whether plain http may be used.
        networks: address ranges exempt from the address rules.
    """

    allowlist: Allowlist
    registry: Mapping[str, ModelRecord]
    local: bool
    networks: tuple[Network, ...] = ()


def urls_in(secret: Mapping[str, Any]) -> dict[str, str]:
    """Return the whole URLs in a Secret, by key; what is not text is left out."""
    found: dict[str, str] = {}
    for key, encoded in (secret.get("data") or {}).items():
        try:
            found[key] = base64.b64decode(encoded, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            continue
    return found


def judge(
    request: Request, secret: Mapping[str, Any] | None, rules: Rules, now: datetime
) -> Problem | None:
    """Return why a request cannot be served, or None where it can.

    Args:
        request: what was asked.
        secret: the Secret it refers to, None where there is none of that name.
        rules: what the installation allows.
        now: the time.
    """
    if request.secret_name and secret is None:
        return Problem(
            ErrorCode.WORKER_CONFIG,
            f"The Secret {request.secret_name} with this request's URLs is not there.",
            missing=request.secret_name,
        )
    if secret is not None and secret.get("type") != SECRET_TYPE:
        return Problem(
            ErrorCode.REQUEST_INVALID,
            f"The Secret {request.secret_name} is not of type {SECRET_TYPE}; no other is read.",
        )
    urls = urls_in(secret) if secret else {}
    found = problems(
        request,
        urls,
        allowlist=rules.allowlist,
        registry=rules.registry,
        local=rules.local,
        networks=rules.networks,
    )
    if found:
        return Problem(ErrorCode.REQUEST_INVALID, "; ".join(found)[:1000])
    return _expired(urls.get(workload.SECRET_KEY_SOURCE, ""), now)


def _expired(source: str, now: datetime) -> Problem | None:
    until = expiry(source) if source else None
    if until is None or until > now:
        return None
    return Problem(
        ErrorCode.SOURCE_EXPIRED,
        f"The presigned audio URL expired at {until:%Y-%m-%dT%H:%M:%SZ}, before the job's turn. "
        "Ask again with a fresh URL.",
    )
