"""What makes two requests the same."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitjob import resource
from splitjob.intent import intent_of, name_of, name_of_key
from splitjob.request import SplitRequest

BODY = {
    "versionId": "song-1",
    "audioUrl": "https://audio.example.com/song.wav?X-Amz-Signature=one",
    "aiModel": "htdemucs",
    "webhook": "https://hooks.example.com/demucs",
}


def intent(**fields: Any) -> str:
    body = SplitRequest.model_validate({**BODY, **fields})
    return intent_of(body.to_resource_draft().request, body.priority)


@pytest.mark.parametrize(
    "fields",
    [
        {"audioUrl": "https://audio.example.com/song.wav?X-Amz-Signature=two"},
        {"audioUrl": "https://audio.example.com/song.wav"},
        {"audioUrl": "HTTPS://AUDIO.example.com:443/song.wav?x"},
        {"idempotencyKey": "mine"},
        {"shifts": 0, "overlap": 0.25, "format": "wav", "priority": 0, "stems": None},
        {"waveforms": False},
        {"events": ["canceled", "completed", "failed"]},
    ],
)
def test_06_a_retry_is_the_same_intent(fields: dict[str, Any]) -> None:
    """Acceptance 6: a freshly presigned URL, a default that is spelt out."""
    assert intent(**fields) == intent()


def test_06_the_id_of_a_submission_is_not_part_of_the_intent() -> None:
    request = SplitRequest.model_validate(BODY).to_resource_draft().request
    assert intent_of(request.model_copy(update={"submission_id": "5" * 32})) == intent_of(request)


def test_06_headers_of_uploads_belong_to_the_signature_of_their_url() -> None:
    """Acceptance 6: freshly presigned, also with another key of encryption."""
    url = "https://s3.example.com/manifest?X-Amz-Signature="
    plain = intent(uploads={"manifest": url + "one"})
    with_headers = {"url": url + "two", "headers": {"x-key": "1"}}
    assert intent(uploads={"manifest": with_headers}) == plain
    assert intent(uploads={"manifest": {"url": "https://s3.example.com/other"}}) != plain


@pytest.mark.parametrize(
    "fields",
    [
        {"versionId": "Song-1"},
        {"aiModel": "htdemucs_ft"},
        {"audioUrl": "https://audio.example.com/other.wav"},
        {"correlationId": "a"},
        {"stems": ["vocals"]},
        {"waveforms": True},
        {"priority": 1},
        {"events": []},
        {"metadata": {"a": "b"}},
        {"format": "flac"},
    ],
)
def test_14_what_differs_is_another_intent(fields: dict[str, Any]) -> None:
    """Acceptance 14: also `Ab` and `ab`; and two models for one song."""
    assert intent(**fields) != intent()


def test_the_order_of_stems_means_nothing() -> None:
    assert intent(stems=["bass", "vocals"]) == intent(stems=["vocals", "bass"])


def test_aac_and_m4a_are_one() -> None:
    assert intent(format="aac") == intent(format="m4a")


def test_the_intent_is_what_it_has_always_been() -> None:
    """A change here would make every retry across an upgrade a second job."""
    assert intent() == "bac289f94320d6778716edbcfdf897537aafe8cef170a289e2c61a28a1e4a7b7"


@given(st.text(), st.integers(min_value=0, max_value=10**6))
def test_names_fit_the_resource(text: str, generation: int) -> None:
    for name in (name_of(text, generation), name_of_key(text)):
        assert re.fullmatch(r"split-[a-z2-7]{26}", name)
        assert len(name) <= resource.MAX_NAME_LENGTH


def test_names_differ_by_generation_and_kind() -> None:
    names = {name_of("a", 0), name_of("a", 1), name_of("b", 0), name_of_key("a")}
    assert len(names) == 4
