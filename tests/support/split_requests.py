"""Requests of POST /split as tests make them, and what is found wrong with them."""

from typing import Any

import pytest
from hypothesis import strategies as st
from pydantic import ValidationError

from splitjob import spec
from splitjob.allowlist import Allowlist
from splitjob.models import load_registry
from splitjob.request import SplitRequest
from splitjob.request_policy import RequestPolicy, resolve, resolve_headers

REGISTRY = load_registry()

POLICY = RequestPolicy(
    allowlist=Allowlist.parse("https://hooks.example.com/demucs", local=False),
    registry=REGISTRY,
    local=False,
)

BODY = {
    "versionId": "song-1",
    "audioUrl": "https://audio.example.com/song.wav?X-Amz-Signature=secret",
    "aiModel": "htdemucs",
    "webhook": "https://hooks.example.com/demucs",
}

EXACT = {"clipMode": "exact", "bitDepth": 24}


def request(**fields: Any) -> SplitRequest:
    """Return a request that is right but for what is given."""
    return SplitRequest.model_validate({**BODY, **fields})


def found(policy: RequestPolicy = POLICY, **fields: Any) -> dict[str, str]:
    """Return what an installation finds wrong with such a request: messages by their fields."""
    draft = request(**fields).to_resource_draft()
    problems = policy.problems(draft.request, draft.urls, draft.headers)
    return {one.field: one.message for one in problems}


def refused_fields(**fields: Any) -> set[str]:
    """Return the fields by which such a request is refused before anybody judges it."""
    with pytest.raises(ValidationError) as refused:
        request(**fields)
    return {str(error["loc"][0]) for error in refused.value.errors()}


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


def check_round_trip(accepted: SplitRequest) -> None:
    """Check that the operator reads from the cluster what the API was sent."""
    draft = accepted.to_resource_draft()
    problems = POLICY.problems(draft.request, draft.urls, draft.headers)
    read_again = resolve(draft.request, draft.secrets)
    assert {field: str(url) for field, url in read_again.items()} == {
        field: str(url) for field, url in draft.urls.items()
    }
    headers = resolve_headers(draft.request, draft.secrets)
    assert POLICY.problems(draft.request, read_again, headers) == problems
    spec.Request.model_validate(draft.request.model_dump(by_alias=True))
