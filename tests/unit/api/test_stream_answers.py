"""The streams answer as the API's document says: each status and code of theirs, and no other."""

from collections.abc import Callable, Iterator

import httpx
import pytest
from tests.support.waiting import eventually
from tests.support.whole_api import Sent, WholeApi, whole_api

from splitjob_api.error_catalogue import (
    BEFORE_EVERY_ROUTE,
    BEFORE_ROUTES_WITH_NAMES,
    BEFORE_SIGNED_ROUTES,
    codes_of,
)

STREAM = "text/event-stream; charset=utf-8"
LIST, JOB = "/events", "/jobs/{job_id}/events"
EVERYWHERE = {*BEFORE_EVERY_ROUTE, *BEFORE_ROUTES_WITH_NAMES, *BEFORE_SIGNED_ROUTES}
Ask = Callable[[WholeApi, str], httpx.Response]


@pytest.fixture(scope="module")
def api() -> Iterator[WholeApi]:
    """Four streams may be open, three of one caller."""
    with whole_api(max_streams=4) as served:
        yield served


def ask(api: WholeApi, path: str, **headers: str) -> httpx.Response:
    return api.send(Sent("GET", path, headers=headers))


def after_its_end(api: WholeApi, path: str) -> httpx.Response:
    api.cluster.finish(path.split("/")[2], "Canceled")
    api.catch_up()
    return ask(api, path, **{"Last-Event-ID": str(api.cluster.version)})


def of_no_job(api: WholeApi, _path: str) -> httpx.Response:
    return ask(api, "/jobs/split-none/events")


def after_no_event(api: WholeApi, path: str) -> httpx.Response:
    return ask(api, path, **{"Last-Event-ID": "the last"})


def beside_own(api: WholeApi, path: str) -> httpx.Response:
    with api.stream(LIST), api.stream(LIST), api.stream(path):
        return ask(api, path)


def beside_all(_api: WholeApi, path: str) -> httpx.Response:
    with whole_api(max_streams=1) as full, full.stream(LIST):
        return ask(full, path.replace(path.split("/")[2], full.job()) if path != LIST else path)


def without_the_cluster(api: WholeApi, path: str) -> httpx.Response:
    api.cluster.away = True
    eventually(lambda: not api.services.jobs.current, pause=0.005)
    try:
        return ask(api, path)
    finally:
        api.cluster.away = False
        api.catch_up()


REFUSALS: dict[str, tuple[int, Ask]] = {
    "job_not_found": (404, of_no_job),
    "request_invalid": (422, after_no_event),
    "too_many_own_streams": (429, beside_own),
    "too_many_streams": (503, beside_all),
    "cluster_unavailable": (503, without_the_cluster),
}
OF = {LIST: sorted(REFUSALS.keys() - {"job_not_found"}), JOB: sorted(REFUSALS)}


def path_of(api: WholeApi, call: str) -> str:
    return call.replace("{job_id}", api.job()) if "{" in call else call


@pytest.mark.parametrize(("call", "statuses"), [(LIST, {"200"}), (JOB, {"200", "204"})])
def test_these_are_all_the_answers_that_are_described(
    api: WholeApi, call: str, statuses: set[str]
) -> None:
    described = api.document["paths"][call]["get"]["responses"]
    assert {status for status in described if status < "400"} == statuses
    assert set(codes_of(described)) - EVERYWHERE == set(OF[call])
    assert list(described["200"]["content"]) == ["text/event-stream"]


@pytest.mark.parametrize("call", OF)
def test_a_stream_that_is_served_is_one_of_events(api: WholeApi, call: str) -> None:
    path = path_of(api, call)
    for method in ("GET", "HEAD"):
        answer = api.send(Sent(method, path))
        assert (answer.status_code, answer.headers["content-type"]) == (200, STREAM)
        assert answer.headers["cache-control"] == "no-store"
    with api.stream(path) as answer:
        name = path.split("/")[2] if call == JOB else api.job()
        assert any(f'"jobId":"{name}"' in line for line in answer.iter_lines())


def test_a_jobs_stream_after_its_last_event_is_a_204(api: WholeApi) -> None:
    answer = after_its_end(api, path_of(api, JOB))
    assert (answer.status_code, answer.content) == (204, b"")


@pytest.mark.parametrize(("call", "code"), [(call, code) for call in OF for code in OF[call]])
def test_a_stream_that_is_refused_says_why_as_every_call(
    api: WholeApi, call: str, code: str
) -> None:
    status, refused = REFUSALS[code]
    answer = refused(api, path_of(api, call))
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert ("retry-after" in answer.headers) == (status in {429, 503})
