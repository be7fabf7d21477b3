"""What comes of a request: its stems, in which format, and where the residual goes."""

from dataclasses import replace
from typing import Any

import pytest
from tests.support.split_requests import (
    EXACT,
    POLICY,
    REGISTRY,
    found,
    request,
)

from splitjob.intent import intent_of
from splitjob.models import ModelRecord
from splitjob.request_policy import outputs
from splitjob.result import residual_stem


@pytest.mark.parametrize(("form", "rate"), [("mp3", 96_000), ("mp3", 40_000), ("m4a", 40_000)])
def test_a_model_whose_rate_the_format_does_not_have_is_refused(form: str, rate: int) -> None:
    odd = REGISTRY["htdemucs"].model_copy(update={"sample_rate": rate})
    policy = replace(POLICY, registry={"htdemucs": odd})
    assert "wav" in found(policy, format=form)["format"]
    assert found(policy, format="flac") == {}


def test_aac_is_another_name_of_m4a() -> None:
    assert request(format="aac").to_resource_draft().request.format == "m4a"


def test_outputs_are_in_the_models_order_with_the_remainder_last() -> None:
    two = request(stems=["vocals", "drums"], remainder=True).to_resource_draft().request
    assert outputs(two, REGISTRY["htdemucs"]) == ["drums", "vocals", "remainder"]
    one = request(stems=["vocals"], remainder=True).to_resource_draft().request
    assert outputs(one, REGISTRY["htdemucs"]) == ["vocals", "no_vocals"]


def test_what_the_model_left_over_goes_to_other_or_where_it_is_asked() -> None:
    def given(model: ModelRecord, **fields: Any) -> tuple[list[str], str | None]:
        asked = request(**fields).to_resource_draft().request
        return outputs(asked, model), residual_stem(asked, model.stems)

    model = REGISTRY["htdemucs"]
    stems = ["drums", "bass", "other", "vocals"]
    assert given(model) == (stems, None)
    assert given(model, **EXACT) == (stems, "other")
    assert given(model, **EXACT, residualTo="drums") == (stems, "drums")
    assert given(model, **EXACT, residualTo="residual") == ([*stems, "residual"], "residual")
    two = model.model_copy(update={"stems": ["vocals", "band"]})
    assert given(two, **EXACT) == (["vocals", "band", "residual"], "residual")
    own = model.model_copy(update={"stems": ["vocals", "residual"]})
    assert given(own, **EXACT) == (["vocals", "residual"], "residual")


@pytest.mark.parametrize(
    ("fields", "remedy"),
    [
        ({"clipMode": "exact"}, "needs 24 or 32 for wav, not 16: give it"),
        ({"clipMode": "exact", "format": "flac"}, "needs 24 for flac, not 16: give it"),
        ({"clipMode": "exact", "format": "opus"}, "it must be wav or flac"),
        ({**EXACT, "stems": ["bass"]}, "all stems (drums, bass, other, vocals)"),
        ({**EXACT, "residualTo": "x"}, "it gives: drums, bass, other, vocals; or say residual"),
        ({"residualTo": "bass"}, "give that, or leave residualTo out"),
    ],
)
def test_refusals_of_exact_stems_say_what_to_do(fields: dict[str, Any], remedy: str) -> None:
    [message] = found(**fields).values()
    assert remedy in message


def test_an_intent_holds_where_the_residual_goes() -> None:
    intents = [
        intent_of(request(**fields).to_resource_draft().request)
        for fields in ({"bitDepth": 24}, EXACT, {**EXACT, "residualTo": "bass"})
    ]
    assert len(set(intents)) == 3
