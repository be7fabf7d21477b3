"""The API server away in the middle of each call: 503, and served when it is asked again."""

from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.waiting import eventually
from tests.support.whole_api import AWAY, CALLS, Sent, WholeApi, whole_api

Call = tuple[str, str]
# Answered by what this process knows.
NEED_NO_CLUSTER = {
    ("POST", "/uploads"),
    ("GET", "/models"),
    ("GET", "/queue/capacity"),
    ("GET", "/healthz"),
    ("GET", "/metrics"),
}
NOT_READY = {("GET", "/readyz"): "not_ready"}


@pytest.fixture(scope="module")
def api() -> Iterator[WholeApi]:
    with whole_api() as served:
        yield served


@pytest.fixture(autouse=True)
def back_again(api: WholeApi) -> Iterator[None]:
    yield
    api.cluster.away = False
    api.cluster.before = api.cluster.after = lambda call: None
    api.catch_up()


def call_id(call: Call) -> str:
    return " ".join(call)


class Accident:
    """The API server goes away at one of the calls that a request makes of it.

    Args:
        at: which, from 0.

    Attributes:
        calls: so far.
        happened: whether it did.
    """

    def __init__(self, at: int) -> None:
        self._at = at
        self.calls = 0
        self.happened = False

    def __call__(self, _call: str) -> None:
        self.calls += 1
        if self.calls > self._at:
            self.happened = True
            raise AWAY


def test_there_is_a_request_for_each_call_that_is_described(api: WholeApi) -> None:
    described = {
        (method.upper(), path)
        for path, operations in api.document["paths"].items()
        for method in operations
    }
    assert described == CALLS.keys()


@pytest.mark.parametrize("call", CALLS, ids=call_id)
@pytest.mark.parametrize("moment", ["before", "after"])
def test_away_at_any_of_a_calls_questions_it_is_a_503_and_asking_again_serves_it_once(
    api: WholeApi, call: Call, moment: str
) -> None:
    """Acceptance 15: unanswered before it took effect, or after."""
    for at in range(10):
        sent = CALLS[call](api)
        before = set(api.cluster.splitjobs)
        accident = Accident(at)
        setattr(api.cluster, moment, accident)
        answer = api.send(sent)
        setattr(api.cluster, moment, lambda call: None)
        if not accident.happened:
            assert answer.status_code < 400, answer.text
            return
        assert refusal(answer) == (503, "cluster_unavailable")
        assert api.send(sent).status_code < 400
        assert len(set(api.cluster.splitjobs) - before) <= 1, "one job, however often it is asked"
    pytest.fail("it asks for ever")


@pytest.mark.parametrize("call", CALLS, ids=call_id)
def test_while_it_is_away_what_needs_it_is_a_503_and_nothing_is_taken(
    api: WholeApi, call: Call
) -> None:
    """Acceptance 15: nothing old is told as new, and no 202 is given for what is not durable."""
    sent = CALLS[call](api)
    before = dict(api.cluster.splitjobs)
    api.cluster.away = True
    until_cut_off(api)
    answer = api.send(sent)
    if call in NEED_NO_CLUSTER:
        assert answer.is_success
    else:
        assert refusal(answer) == (503, NOT_READY.get(call, "cluster_unavailable"))
    assert api.cluster.splitjobs == before


def until_cut_off(api: WholeApi) -> None:
    """Wait until the watch is known to be cut off, and the last look at the cluster is too old."""
    eventually(lambda: not api.services.jobs.current, pause=0.005)
    eventually(lambda: api.http.get("/readyz").status_code == 503, pause=0.02)


def refusal(answer: Any) -> tuple[int, str]:
    """Return status and code of an answer that says when to ask again."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    assert int(answer.headers["Retry-After"]) > 0
    return answer.status_code, answer.json()["code"]


def test_a_kubernetes_token_that_nobody_can_judge_is_a_503() -> None:
    with whole_api(kubernetes_tokens=True) as api:
        sent = Sent("GET", "/models", headers={"Authorization": "Bearer of-somebody"})
        for at in range(2):
            api.cluster.before = Accident(at)
            answer = api.http.get(sent.path, headers=sent.headers)
            assert refusal(answer) == (503, "cluster_unavailable")
        api.cluster.before = lambda call: None
        assert api.http.get(sent.path, headers=sent.headers).status_code == 200
