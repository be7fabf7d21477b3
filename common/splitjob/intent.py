"""What makes two requests the same, and the names of the SplitJobs that follow from it.

The intent of a request is its content in canonical form: without fields at their defaults, without
the queries of its URLs and the headers that belong to their signatures (a retry with a freshly
presigned URL is the same intent), and without the idempotency key and the id of the submission.
Names derive from it, so that creating a SplitJob under its name is what arbitrates between
replicas.
"""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from pydantic.main import IncEx

from splitjob.resource import ANNOTATION_GENERATION
from splitjob.spec import Request

LABEL_LENGTH = 32  # hex characters of an intent in LABEL_INTENT, whose values end at 63
_NAME_LENGTH = 26  # base32 characters: 130 bits
_SECRET_NAME = re.compile(r"(split-[a-z2-7]{26})-[0-9a-f]{16}")
_NOT_INTENT: Mapping[str, IncEx | bool] = {
    "idempotency_key": True,
    "intent": True,
    "submission_id": True,
    "secret_name": True,
    "source": {"secret_key"},
    "webhook": {"secret_key"},
    "uploads": {"__all__": {"secret_key", "headers"}},
}


def intent_of(request: Request, priority: int = 0) -> str:
    """Return the intent of a request: 64 hex characters.

    Args:
        request: what was asked.
        priority: the priority it was asked with; it stands beside the request in the resource.
    """
    content = request.model_dump(
        mode="json", by_alias=True, exclude_defaults=True, exclude=_NOT_INTENT
    )
    if "stems" in content:
        content["stems"] = sorted(content["stems"])
    if priority:
        content["priority"] = priority
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def name_of(intent: str, generation: int) -> str:
    """Return the name of the SplitJob that serves an intent for the n-th time.

    Args:
        intent: `intent_of` the request.
        generation: 0 for the first, one more after each failure or cancellation.
    """
    return _name(f"intent\0{intent}\0{generation}")


def name_of_key(idempotency_key: str) -> str:
    """Return the name of the one SplitJob that an idempotency key stands for."""
    return _name(f"key\0{idempotency_key}")


def secret_name_of(name: str, salt: str) -> str:
    """Return the name of the Secret that is written for a SplitJob.

    Args:
        name: of the SplitJob.
        salt: 16 random hex characters.
    """
    return f"{name}-{salt}"


def first_owner_of(secret_name: str) -> str | None:
    """Return for which SplitJob the API wrote a Secret; None where the name is of somebody else."""
    found = _SECRET_NAME.fullmatch(secret_name)
    return found[1] if found else None


def generation_of(splitjob: Mapping[str, Any]) -> int:
    """Return which SplitJob of its intent this is, from 0; 0 where it does not say.

    Args:
        splitjob: the object as the cluster holds it.
    """
    annotations = splitjob["metadata"].get("annotations") or {}
    text = annotations.get(ANNOTATION_GENERATION, "0")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def _name(seed: str) -> str:
    digest = hashlib.sha256(seed.encode()).digest()
    return "split-" + base64.b32encode(digest).decode().lower()[:_NAME_LENGTH]
