"""Where a request has its files sent: URLs, their headers, what of them is kept where."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.support.split_requests import (
    POLICY,
    anything,
    check_round_trip,
    found,
    refused_fields,
    request,
)

from splitjob.request import SplitRequest
from splitjob.request_policy import resolve_headers


def test_whole_urls_with_a_query_stand_in_the_secret_only() -> None:
    uploads = {name: f"https://s3.example.com/{name}?sig=secret" for name in ("vocals", "manifest")}
    draft = request(stems=["vocals"], uploads=uploads).to_resource_draft()
    assert set(draft.secrets) == {"source", "upload.vocals", "upload.manifest"}
    assert "?" not in draft.request.model_dump_json()
    assert draft.request.source.url == "https://audio.example.com/song.wav"


SIGNED = "X-Amz-SignedHeaders=content-type%3Bhost&X-Amz-Signature=secret"

UPLOADS = {
    "vocals": {
        "url": f"https://s3.example.com/vocals?{SIGNED}",
        "headers": {"Content-Type": "audio/wav", "x-amz-meta-key": "hush"},
    },
    "manifest": "https://s3.example.com/manifest?X-Amz-Signature=secret",
}


def test_headers_stand_in_the_secret_and_only_their_names_in_the_resource() -> None:
    draft = request(stems=["vocals"], uploads=UPLOADS).to_resource_draft()
    held = draft.request.model_dump(by_alias=True, exclude_none=True)["uploads"]
    assert held == {
        "vocals": {
            "url": "https://s3.example.com/vocals",
            "secretKey": "upload.vocals",
            "headers": ["content-type", "x-amz-meta-key"],
        },
        "manifest": {"url": "https://s3.example.com/manifest", "secretKey": "upload.manifest"},
    }
    assert json.loads(draft.secrets["headers.vocals"]) == UPLOADS["vocals"]["headers"]  # type: ignore[index]
    assert "headers.manifest" not in draft.secrets
    assert found(stems=["vocals"], uploads=UPLOADS) == {}


def waveform_uploads(*names: str) -> dict[str, str]:
    return {name: f"https://s3.example.com/{name}?X-Amz-Signature=secret" for name in names}


def test_with_waveforms_their_urls_are_given_and_kept_as_those_of_the_stems() -> None:
    uploads = waveform_uploads("vocals", "manifest", "vocals.waveform", "mixture.waveform")
    asked: dict[str, Any] = {"stems": ["vocals"], "waveforms": True, "uploads": uploads}
    assert found(**asked) == {}
    draft = request(**asked).to_resource_draft()
    assert draft.secrets["upload.mixture.waveform"] == uploads["mixture.waveform"]
    held = draft.request.model_dump(by_alias=True, exclude_none=True)["uploads"]
    assert held["vocals.waveform"] == {
        "url": "https://s3.example.com/vocals.waveform",
        "secretKey": "upload.vocals.waveform",
    }


def test_the_url_of_each_waveform_is_needed_and_none_unasked() -> None:
    uploads = waveform_uploads("vocals", "manifest")
    problems = found(stems=["vocals"], waveforms=True, uploads=uploads)
    assert set(problems) == {"uploads.vocals.waveform", "uploads.mixture.waveform"}
    more = waveform_uploads(*uploads, "vocals.waveform", "mixture.waveform")
    problems = found(stems=["vocals"], uploads=more)
    assert set(problems) == {"uploads.vocals.waveform", "uploads.mixture.waveform"}
    assert "no such file comes of this" in problems["uploads.vocals.waveform"]


@pytest.mark.parametrize(
    "name", ["vocals.wav", "vocals.waveform.json", ".waveform", "a.b.waveform"]
)
def test_no_other_dot_is_taken_in_the_name_of_an_upload(name: str) -> None:
    assert refused_fields(uploads={name: "https://s3.example.com/x"}) == {"uploads"}


def test_a_signed_header_of_a_waveforms_url_is_asked_for() -> None:
    uploads = {
        **waveform_uploads("vocals", "manifest", "vocals.waveform"),
        "mixture.waveform": f"https://s3.example.com/m?{SIGNED}",
    }
    problems = found(stems=["vocals"], waveforms=True, uploads=uploads)
    assert set(problems) == {"uploads.mixture.waveform"}


def test_headers_of_a_url_without_a_query_need_the_secret_too() -> None:
    plain = {"url": "https://s3.example.com/manifest", "headers": {"x-key": "hush"}}
    draft = request(audioUrl="https://a.example.com/s", uploads={"manifest": plain})
    assert set(draft.to_resource_draft().secrets) == {"headers.manifest"}


def test_headers_show_in_no_text_of_a_request() -> None:
    asked = request(stems=["vocals"], uploads=UPLOADS)
    assert "hush" not in repr(asked)


def test_an_upload_that_cannot_go_through_is_named_with_its_header() -> None:
    plain = {**UPLOADS, "vocals": f"https://s3.example.com/vocals?{SIGNED}"}
    problems = found(stems=["vocals"], uploads=plain)
    assert set(problems) == {"uploads.vocals"}
    assert "the header content-type" in problems["uploads.vocals"]


@pytest.mark.parametrize(
    ("upload", "field"),
    [
        (1, "uploads.vocals"),
        (None, "uploads.vocals"),
        ({}, "uploads.vocals.url"),
        ("ftp://s3.example.com/x", "uploads.vocals"),
        ({"url": "ftp://s3.example.com/x"}, "uploads.vocals.url"),
        ({"url": "https://s3.example.com/x", "method": "POST"}, "uploads.vocals.method"),
        ({"url": "https://s3.example.com/x", "headers": []}, "uploads.vocals.headers"),
        (
            {"url": "https://s3.example.com/x", "headers": {str(i): "v" for i in range(9)}},
            "uploads.vocals.headers",
        ),
        ({"url": "https://s3.example.com/x", "headers": {"a": 1}}, "uploads.vocals.headers.a"),
    ],
)
def test_the_two_forms_of_an_upload_are_told_apart(upload: Any, field: str) -> None:
    with pytest.raises(ValidationError) as refused:
        request(uploads={"vocals": upload})
    [error] = refused.value.errors()
    assert ".".join(map(str, error["loc"])) == field


def test_the_schema_shows_both_forms_of_an_upload() -> None:
    schema = SplitRequest.model_json_schema()
    [by_name] = [one for one in schema["properties"]["uploads"]["anyOf"] if one["type"] == "object"]
    [forms] = by_name["patternProperties"].values()
    [plain, with_headers] = forms["anyOf"]
    assert plain["type"] == "string"
    upload = schema["$defs"][with_headers["$ref"].rpartition("/")[2]]
    assert set(upload["properties"]) == {"url", "headers"}
    assert upload["required"] == ["url"]


def test_a_secret_without_the_headers_that_the_resource_names_is_refused() -> None:
    draft = request(stems=["vocals"], uploads=UPLOADS).to_resource_draft()
    for stored in ('{"content-type": "audio/wav"}', "rubbish", None):
        secrets = {**draft.secrets, "headers.vocals": stored}
        present = {key: text for key, text in secrets.items() if text is not None}
        headers = resolve_headers(draft.request, present)
        [problem] = POLICY.problems(draft.request, draft.urls, headers)
        assert problem.field == "uploads.vocals"
        assert "headers.vocals" in problem.message


@given(st.dictionaries(st.text(max_size=8), st.text(max_size=8) | anything, max_size=3) | anything)
def test_any_upload_is_taken_or_refused(headers: Any) -> None:
    uploads = {"manifest": {"url": "https://s3.example.com/manifest?sig=1", "headers": headers}}
    try:
        accepted = request(uploads=uploads)
    except ValidationError:
        return
    check_round_trip(accepted)
