"""Bodies are read strictly."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitjob.request import SplitRequest
from splitjob_api.problems import ApiError
from splitjob_api.request_body import parse_object, validate


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nonsense",
        b"[]",
        b'"text"',
        b"1",
        b"null",
        b'{"a": 1',
        b'{"a": 1} x',
        b'{"a": 1, "a": 2}',
        b'{"b": {"a": 1, "\\u0061": 2}}',
        b'{"a": "\xff"}',
        b'{"a": "\xed\xa0\x80"}',
        b'{"a": "\\ud800"}',
        b'{"\\udfff": 1}',
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": ' + b"9" * 5000 + b"}",
        b'{"a": ' + b"[" * 30_000 + b"]" * 30_000 + b"}",
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
        b"\xef\xbb\xbf{}",
        '{"a": 1}'.encode("utf-16"),
        b'{"a": "\x00"}',
    ],
)
def test_12_what_is_not_one_plain_json_object_is_refused(body: bytes) -> None:
    """Acceptance 12."""
    with pytest.raises(ApiError) as refused:
        parse_object(body)
    assert (refused.value.status, refused.value.code) == (400, "json_invalid")
    refused.value.response()


def test_what_is_wrong_is_said_in_words_for_callers() -> None:
    with pytest.raises(ApiError, match="a number has too many digits") as refused:
        parse_object(b'{"size": ' + b"9" * 5000 + b"}")
    assert b"sys." not in refused.value.response().body


@given(
    st.binary(max_size=300) | st.text(alphabet='{}[]":,\\u0dE1e+-.nat', max_size=60).map(str.encode)
)
def test_any_bytes_give_an_object_or_a_400(body: bytes) -> None:
    try:
        content = parse_object(body)
    except ApiError as problem:
        answer = problem.response()
    else:
        assert content == json.loads(body)
        return
    assert answer.status_code == 400


def test_each_wrong_field_is_named() -> None:
    with pytest.raises(ApiError) as refused:
        validate(SplitRequest, {"versionId": 1, "stems": ["ok", 2], "x" * 5000: 1})
    problem = refused.value
    assert problem.status == 422
    names = {error.field for error in problem.errors}
    assert {"versionId", "audioUrl", "aiModel", "webhook", "stems.1"} < names
    assert len(problem.response().body) < 4000


def test_values_are_not_repeated() -> None:
    with pytest.raises(ApiError) as refused:
        validate(SplitRequest, {"audioUrl": "https://u:p@x/?token=hush", "format": "hush"})
    assert b"hush" not in refused.value.response().body
