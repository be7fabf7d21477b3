"""The body of POST /split: its shapes, and what an installation makes of it."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from splitjob import spec
from splitjob.addresses import parse_networks
from splitjob.allowlist import Allowlist
from splitjob.intent import intent_of
from splitjob.models import ModelRecord, load_registry
from splitjob.request import SplitRequest
from splitjob.request_policy import RequestPolicy, outputs, resolve, resolve_headers
from splitjob.result import residual_stem
from splitjob.urls import UrlError, parse

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
    return SplitRequest.model_validate({**BODY, **fields})


def found(policy: RequestPolicy = POLICY, **fields: Any) -> dict[str, str]:
    draft = request(**fields).to_resource_draft()
    problems = policy.problems(draft.request, draft.urls, draft.headers)
    return {one.field: one.message for one in problems}


def refused_fields(**fields: Any) -> set[str]:
    with pytest.raises(ValidationError) as refused:
        request(**fields)
    return {str(error["loc"][0]) for error in refused.value.errors()}


def test_the_seeds_request_is_taken_with_the_seeds_defaults() -> None:
    draft = request().to_resource_draft()
    assert found() == {}
    assert draft.request.format == "wav"
    assert draft.request.overlap_permille == 250
    assert draft.request.webhook.events == ["completed", "failed", "canceled"]


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
    "url",
    [
        "file:///etc/passwd",
        "ftp://example.com/a.wav",
        "data:audio/wav;base64,AAAA",
        "https://user:word@example.com/a.wav",
        "https://example.com/a.wav#fragment",
        "https:///a.wav",
        "https://example.com:99999/",
        "https://exa mple.com/",
        "//example.com/a.wav",
        "",
        "https://[::1/",
        "https://example.com/" + "a" * 9000,
    ],
)
def test_21_sources_are_web_urls(url: str) -> None:
    """Acceptance 21."""
    assert refused_fields(audioUrl=url) == {"audioUrl"}


@pytest.mark.parametrize("path", ["a" * 2048, "é" * 600], ids=["long", "long when encoded"])
@pytest.mark.parametrize("query", ["", "?X-Amz-Signature=secret"])
@pytest.mark.parametrize("field", ["audioUrl", "webhook", "uploads.manifest"])
def test_urls_that_the_resource_cannot_hold_are_refused(field: str, query: str, path: str) -> None:
    url = f"https://hooks.example.com/demucs/{path}{query}"
    name, _, key = field.partition(".")
    with pytest.raises(ValidationError) as refused:
        request(**{name: {key: url} if key else url})
    [error] = refused.value.errors()
    assert ".".join(map(str, error["loc"])) == field
    assert "without its query it is longer than 2048 characters" in error["msg"]


def test_the_longest_url_is_taken() -> None:
    longest = "https://audio.example.com/".ljust(2048, "a")
    assert found(audioUrl=longest + "?" + "q" * 4000) == {}


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "2130706433",
        "0x7f.1",
        "0177.0.0.1",
        "127.1",
        "10.1.2.3",
        "169.254.169.254",
        "[::1]",
        "[::ffff:169.254.169.254]",
        "0.0.0.0",
        "[fd00:ec2::254]",
        "168.63.129.16",
    ],
)
def test_22_forbidden_addresses_are_refused_in_any_notation(host: str) -> None:
    """Acceptance 22: what can be seen without asking a name server is said at once."""
    url = f"https://{host}/song.wav?q"
    try:
        parse(url)
    except UrlError:
        assert refused_fields(audioUrl=url) == {"audioUrl"}
    else:
        assert "source" in found(audioUrl=url)


def test_an_exempt_network_may_be_used() -> None:
    policy = replace(POLICY, networks=parse_networks("10.1.0.0/16"))
    assert found(policy, audioUrl="https://10.1.2.3/song.wav") == {}


def test_http_sources_are_for_local_use() -> None:
    assert "source" in found(audioUrl="http://audio.example.com/song.wav")
    local = replace(POLICY, local=True)
    assert found(local, audioUrl="http://audio.example.com/song.wav") == {}


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


@pytest.mark.parametrize(("form", "rate"), [("mp3", 96_000), ("mp3", 40_000), ("m4a", 40_000)])
def test_a_model_whose_rate_the_format_does_not_have_is_refused(form: str, rate: int) -> None:
    odd = REGISTRY["htdemucs"].model_copy(update={"sample_rate": rate})
    policy = replace(POLICY, registry={"htdemucs": odd})
    assert "wav" in found(policy, format=form)["format"]
    assert found(policy, format="flac") == {}


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


def test_no_message_holds_a_query() -> None:
    draft = request(
        audioUrl="https://10.0.0.1/a?token=hush", webhook="https://evil.example.com/?token=hush"
    ).to_resource_draft()
    for one in POLICY.problems(draft.request, draft.urls, draft.headers):
        assert "hush" not in one.message


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
fields = st.sampled_from(list(SplitRequest.model_json_schema()["properties"]))


@given(st.sampled_from(["https://audio.example.com/", "https://", "HTTP://[::1]"]), st.text())
@example("https://audio.example.com/", "\U0001f3b5" * 200)
def test_any_url_is_taken_or_refused(beginning: str, rest: str) -> None:
    try:
        accepted = request(audioUrl=beginning + rest)
    except ValidationError:
        return
    check_round_trip(accepted)


@given(st.dictionaries(fields | st.text(max_size=8), anything, max_size=6))
def test_any_content_is_taken_or_refused(content: dict[str, Any]) -> None:
    try:
        accepted = SplitRequest.model_validate({**BODY, **content})
    except ValidationError as refused:
        json.dumps(refused.errors(include_input=False, include_context=False))
        return
    check_round_trip(accepted)


@given(st.dictionaries(st.text(max_size=8), st.text(max_size=8) | anything, max_size=3) | anything)
def test_any_upload_is_taken_or_refused(headers: Any) -> None:
    uploads = {"manifest": {"url": "https://s3.example.com/manifest?sig=1", "headers": headers}}
    try:
        accepted = request(uploads=uploads)
    except ValidationError:
        return
    check_round_trip(accepted)


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
