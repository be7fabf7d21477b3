"""The body of POST /split: its fields, and what an installation makes of them."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.support.split_requests import (
    BODY,
    EXACT,
    POLICY,
    anything,
    check_round_trip,
    found,
    refused_fields,
    request,
)

from splitjob import spec
from splitjob.request import SplitRequest
from splitjob.request_policy import resolve, resolve_headers


def test_the_seeds_request_is_taken_with_the_seeds_defaults() -> None:
    draft = request().to_resource_draft()
    assert found() == {}
    assert draft.request.format == "wav"
    assert draft.request.overlap_permille == 250
    assert draft.request.webhook.events == ["completed", "failed", "canceled"]


@pytest.mark.parametrize("version_id", ["../x", "a/b", "x" * 300, "", ".a", "a b", "a\n", "ä"])
def test_13_version_ids_that_could_leave_their_place_are_refused(version_id: str) -> None:
    """Acceptance 13."""
    assert refused_fields(versionId=version_id) == {"versionId"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("shifts", "1"),
        ("shifts", True),
        ("shifts", 1.0),
        ("shifts", 21),
        ("shifts", 10**400),
        ("overlap", "0.5"),
        ("overlap", True),
        ("overlap", 0.1234),
        ("overlap", 0.95),
        ("overlap", float("inf")),
        ("overlap", 10**400),
        ("seed", -1),
        ("seed", 2**53),
        ("bitDepth", 8),
        ("bitDepth", "16"),
        ("remainder", "true"),
        ("remainder", 1),
        ("priority", 101),
        ("stems", "vocals"),
        ("stems", []),
        ("stems", ["Vocals"]),
        ("events", ["done"]),
        ("format", "ogg"),
        ("clipMode", "hard"),
        ("residualTo", "Other"),
        ("residualTo", 1),
        ("residualTo", ""),
        ("metadata", {"a": 1}),
        ("metadata", {str(i): "" for i in range(17)}),
        ("uploads", {}),
        ("correlationId", "x" * 257),
        ("correlationId", "a\x00b"),
        ("idempotencyKey", ""),
        ("queueDeadlineSeconds", 0),
        ("versionId", None),
        ("nonsense", 1),
        ("version_id", "snake"),
    ],
)
def test_12_wrong_types_and_unknown_fields_are_refused_by_name(field: str, value: Any) -> None:
    """Acceptance 12."""
    assert refused_fields(**{field: value}) == {field}


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"aiModel": "nonesuch"}, "model"),
        ({"stems": ["vocals", "banjo"]}, "stems.1"),
        ({"stems": ["vocals", "vocals"]}, "stems.1"),
        ({"remainder": True}, "remainder"),
        ({"format": "mp3", "bitDepth": 16}, "bitDepth"),
        ({"format": "flac", "bitDepth": 32}, "bitDepth"),
        ({"format": "flac", "bitrateKbps": 320}, "bitrateKbps"),
        ({"bitrateKbps": 320}, "bitrateKbps"),
        ({"format": "mp3", "bitrateKbps": 321}, "bitrateKbps"),
        ({"format": "opus", "bitrateKbps": 512}, "bitrateKbps"),
        ({"format": "m4a", "bitrateKbps": 8}, "bitrateKbps"),
        ({"clipMode": "exact"}, "bitDepth"),
        ({"clipMode": "exact", "bitDepth": 16}, "bitDepth"),
        ({"clipMode": "exact", "format": "flac"}, "bitDepth"),
        ({"clipMode": "exact", "format": "flac", "bitDepth": 32}, "bitDepth"),
        ({"clipMode": "exact", "format": "mp3"}, "format"),
        ({**EXACT, "stems": ["vocals"]}, "stems"),
        ({**EXACT, "stems": ["vocals"], "remainder": True}, "remainder"),
        ({**EXACT, "residualTo": "banjo"}, "residualTo"),
        ({**EXACT, "residualTo": "no_vocals"}, "residualTo"),
        ({"residualTo": "other"}, "residualTo"),
        ({"residualTo": "residual", "clipMode": "shared", "bitDepth": 24}, "residualTo"),
        (
            {
                **EXACT,
                "residualTo": "residual",
                "uploads": dict.fromkeys(
                    ["drums", "bass", "other", "vocals", "manifest"], "https://s3.example.com/a"
                ),
            },
            "uploads.residual",
        ),
        (
            {
                **EXACT,
                "uploads": dict.fromkeys(
                    ["drums", "bass", "other", "vocals", "residual", "manifest"],
                    "https://s3.example.com/a",
                ),
            },
            "uploads.residual",
        ),
        ({"metadata": {"a": "x" * 1000, "b": "ü" * 20}}, "metadata"),
        ({"stems": ["bass"], "uploads": {"bass": "https://s3.example.com/a"}}, "uploads.manifest"),
        ({"webhook": "https://evil.example.com/demucs"}, "webhook"),
        ({"uploads": {"manifest": "https://10.0.0.1/x"}, "stems": ["bass"]}, "uploads.bass"),
    ],
)
def test_what_the_installation_cannot_do_is_named(fields: dict[str, Any], field: str) -> None:
    assert field in found(**fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"bitDepth": 32},
        {"format": "flac", "bitDepth": 24},
        {"format": "mp3", "bitrateKbps": 320},
        {"format": "aac", "bitrateKbps": 256},
        {"format": "opus"},
        {"stems": ["vocals"], "remainder": True},
        EXACT,
        {"clipMode": "exact", "bitDepth": 32, "residualTo": "vocals"},
        {"clipMode": "exact", "format": "flac", "bitDepth": 24, "residualTo": "residual"},
        {**EXACT, "stems": ["vocals", "drums", "other", "bass"]},
        {
            **EXACT,
            "residualTo": "residual",
            "uploads": dict.fromkeys(
                ["drums", "bass", "other", "vocals", "residual", "manifest"],
                "https://s3.example.com/a",
            ),
        },
        {"metadata": {"a": "b"}, "events": [], "priority": -100, "overlap": 0, "seed": 0},
        {"correlationId": None, "stems": None},
    ],
)
def test_what_can_be_done_is_taken(fields: dict[str, Any]) -> None:
    assert found(**fields) == {}


def test_a_hand_written_resource_is_judged_by_the_same_rules() -> None:
    kept = request(webhook="https://hooks.example.com/demucs?key=1").to_resource_draft()

    def complaints(changed: spec.Request, urls: dict[str, str]) -> list[str]:
        headers = resolve_headers(changed, urls)
        problems = POLICY.problems(changed, resolve(changed, urls), headers)
        return [one.sentence for one in problems]

    assert complaints(kept.request, kept.secrets) == []
    assert any("no key" in one for one in complaints(kept.request, {}))
    other = {**kept.secrets, "source": "https://elsewhere.example.com/?x"}
    assert any("Secret" in one for one in complaints(kept.request, other))
    smuggled = kept.request.model_copy(
        update={"source": spec.Location(url=kept.request.source.url, secret_key="webhook")}
    )
    assert any("secretKey" in one for one in complaints(smuggled, kept.secrets))


fields = st.sampled_from(list(SplitRequest.model_json_schema()["properties"]))


@given(st.dictionaries(fields | st.text(max_size=8), anything, max_size=6))
def test_any_content_is_taken_or_refused(content: dict[str, Any]) -> None:
    try:
        accepted = SplitRequest.model_validate({**BODY, **content})
    except ValidationError as refused:
        json.dumps(refused.errors(include_input=False, include_context=False))
        return
    check_round_trip(accepted)
