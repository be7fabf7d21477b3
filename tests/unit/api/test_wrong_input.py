"""Each field of each call wrong in turn, by the API's document: a 4xx with a code of that call."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from jsonschema_rs import Draft202012Validator
from tests.support.whole_api import CALLS, Sent, WholeApi, whole_api
from tests.support.wrong_values import CONTROL, UNREADABLE, resolved, wrong_bodies

Call = tuple[str, str]
IDS = ("%00", "%0A", "%FF", "%20", "a%2Fb", "..%2F..", "A", "-", "a" * 5000, quote("\u2028"))
# By the type of a parameter what it cannot be; what may follow `name=`.
NOT_OF_TYPE = {
    "integer": (
        *("", "a", "1.5", "-1", "501", "1e3", "5.0", "1_0", "%205", "%2B5", "05"),
        *("9" * 5000, "%EF%BC%91", "%00"),
    ),
    "array": ("", "nonesuch", "%00", "QUEUED"),
    "date-time": ("", "yesterday", "0", "2026-13-01T00:00:00Z", "2026-01-01T00:00:00", "%00"),
    "string": ("", "a" * 5000),
}
ODD_HEADERS = {
    "If-None-Match": ("", '"', "*", 'W/"a"', f'W/"{"9" * 40}"', "a" * 5000),
    "Accept": ("", "nonsense", "*/*;q=x", "application/json;q=-1"),
    "Content-Type": ("", "text/html", "a" * 5000),
    "X-Request-Id": ("", "a" * 5000, "a b", "\x80"),
    "Last-Event-ID": ("1",),
}


@pytest.fixture(scope="module")
def api() -> Iterator[WholeApi]:
    with whole_api() as served:
        yield served


def operation(api: WholeApi, call: Call) -> dict[str, Any]:
    method, path = call
    found: dict[str, Any] = api.document["paths"][path][method.lower()]
    return found


def parameters(api: WholeApi, call: Call, place: str) -> dict[str, dict[str, Any]]:
    """Return the schemas of the parameters in the path, the query or the headers, by name."""
    return {
        one["name"]: one["schema"]
        for one in operation(api, call).get("parameters", [])
        if one["in"] == place
    }


def answered(api: WholeApi, call: Call, sent: Sent) -> httpx.Response:
    """Return the answer, which must be one that the document knows; refused, nothing is left."""
    cluster = api.cluster
    before = (dict(cluster.splitjobs), dict(cluster.secrets))
    answer = api.send(sent)
    described = operation(api, call)["responses"]
    about = (sent.method, sent.path[:200], sent.payload[:300], sent.headers, answer.status_code)
    assert str(answer.status_code) in described, about
    if answer.status_code >= 400:
        assert "Value error" not in answer.text, about
        kind = "application/problem+json"
        assert answer.headers["content-type"] == kind, about
        assert (
            answer.json()["code"] in described[str(answer.status_code)]["content"][kind]["examples"]
        ), (about, answer.text)
        assert (cluster.splitjobs, cluster.secrets) == before, about
    cluster.splitjobs, cluster.secrets = before
    return answer


def refused(api: WholeApi, call: Call, sent: Sent) -> None:
    answer = answered(api, call, sent)
    assert 400 <= answer.status_code < 500, (sent, answer.text)


def with_query(sent: Sent, query: str) -> Sent:
    return Sent(sent.method, f"{sent.path.partition('?')[0]}?{query}", sent.body)


def call_id(call: Call) -> str:
    return " ".join(call)


OPEN = {"/healthz", "/readyz", "/metrics"}
BODIES = [("POST", "/split"), ("POST", "/uploads"), ("POST", "/jobs/{job_id}/retry")]


def test_these_are_all_the_calls_with_a_body(api: WholeApi) -> None:
    assert [call for call in CALLS if "requestBody" in operation(api, call)] == BODIES


@pytest.mark.parametrize("call", BODIES, ids=call_id)
def test_each_field_of_a_body_is_wrong_in_turn(api: WholeApi, call: Call) -> None:
    """What its schema rules out is refused; what it lets through may still be."""
    right = CALLS[call](api)
    content = operation(api, call)["requestBody"]["content"]["application/json"]
    schema = resolved(content["schema"], api.document)
    fits = Draft202012Validator(schema).is_valid
    assert fits(right.body)
    ruled_out = 0
    for body in wrong_bodies(schema, right.body or {}):
        sent = Sent(right.method, right.path, body)
        if fits(body):
            answered(api, call, sent)
        else:
            refused(api, call, sent)
            ruled_out += 1
    assert ruled_out > 10 * len(schema["properties"])


@pytest.mark.parametrize("call", BODIES, ids=call_id)
def test_what_is_no_json_object_is_refused(api: WholeApi, call: Call) -> None:
    right = CALLS[call](api)
    for content in UNREADABLE:
        refused(api, call, Sent(right.method, right.path, content=content))


@pytest.mark.parametrize("call", CALLS, ids=call_id)
def test_each_parameter_of_a_query_is_wrong_in_turn(api: WholeApi, call: Call) -> None:
    right = CALLS[call](api)
    wanted = parameters(api, call, "query")
    for name, schema in wanted.items():
        variants = [schema, *schema.get("anyOf", ())]
        kinds = {one[key] for one in variants for key in ("type", "format") if key in one}
        kind = next(kind for kind in ("date-time", "integer", "array", "string") if kind in kinds)
        for value in NOT_OF_TYPE[kind]:
            refused(api, call, with_query(right, f"{name}={value}"))
        for value in (quote(CONTROL), "%FF", "a&" * 20):
            answered(api, call, with_query(right, f"{name}={value}"))
    for query in ("nonesuch=1", "%00=%00", "&&=", "limit[]=1"):
        sent = with_query(right, query)
        if wanted and query != "&&=":
            refused(api, call, sent)
        else:
            answered(api, call, sent)


@pytest.mark.parametrize("call", CALLS, ids=call_id)
def test_a_parameter_that_has_one_value_and_is_there_twice_is_named(
    api: WholeApi, call: Call
) -> None:
    """No two readers agree on which of them counts: a gateway that checks the other one."""
    for name, schema in parameters(api, call, "query").items():
        if schema.get("type") == "array":
            answered(api, call, with_query(CALLS[call](api), f"{name}=queued&{name}=running"))
            continue
        answer = api.send(with_query(CALLS[call](api), f"{name}=1&{name}=1"))
        assert answer.status_code == 422
        (error,) = answer.json()["errors"]
        assert error["field"] == name
        assert "several times" in error["message"]


@pytest.mark.parametrize("call", [call for call in CALLS if "{" in call[1]], ids=call_id)
def test_each_name_in_a_path_is_wrong_in_turn(api: WholeApi, call: Call) -> None:
    right = CALLS[call](api)
    own, given = call[1].split("/"), right.path.split("/")
    for number, part in enumerate(own):
        if part.startswith("{"):
            for name in IDS:
                path = "/".join([*given[:number], name, *given[number + 1 :]])
                refused(api, call, Sent(right.method, path, right.body))


@pytest.mark.parametrize("call", CALLS, ids=call_id)
def test_each_header_is_wrong_in_turn(api: WholeApi, call: Call) -> None:
    """A stream's `Last-Event-ID` is refused; what others do not read means nothing to them."""
    for name, values in ODD_HEADERS.items():
        for value in values:
            sent = CALLS[call](api)
            answered(api, call, Sent(sent.method, sent.path, sent.body, headers={name: value}))
    for name in parameters(api, call, "header"):
        for value in ("", "a", "-1", "1.5", "1" * 19, "\xb2"):
            refused(api, call, Sent("GET", CALLS[call](api).path, headers={name: value}))


@pytest.mark.parametrize("call", [call for call in CALLS if call not in BODIES], ids=call_id)
def test_a_body_where_none_is_expected(api: WholeApi, call: Call) -> None:
    """Where a body can be signed it is refused; elsewhere the line is what is signed."""
    right = CALLS[call](api)
    sent = Sent(right.method, right.path, content=json.dumps({"a": 1}).encode())
    if right.method == "POST":
        refused(api, call, sent)
    else:
        assert answered(api, call, sent).status_code == 401 or call[1] in OPEN


@pytest.mark.parametrize("path", sorted({path for _, path in CALLS}))
def test_a_method_that_a_path_does_not_take_is_a_405_that_names_those_it_takes(
    api: WholeApi, path: str
) -> None:
    taken = {method for method, one in CALLS if one == path}
    answer = api.send(Sent("PUT", path.replace("{job_id}", "split-a").replace("{stem}", "vocals")))
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    named = set(answer.headers["Allow"].split(", "))
    assert named == taken | ({"HEAD"} if "GET" in taken else set())
