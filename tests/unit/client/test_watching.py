"""Event streams that break: they are opened again where they had come to."""

from typing import Any

import pytest
from tests.support.client_caller import Caller
from tests.support.fake_service import (
    JOB_ID,
    FakeService,
    event,
    gives,
    hangs_up,
    job,
    problem,
    sends,
    streams,
)

from splitjob_client import (
    JobDeletedError,
    NotFoundError,
    UnexpectedAnswerError,
)
from splitjob_client.watching import EventStream


def test_a_stream_that_breaks_before_its_first_event_goes_on_from_where_it_began() -> None:
    stream = EventStream()
    assert "Last-Event-ID" not in stream.open()
    assert stream.feed(b"retry: 3000\nid: 100\n\n: still here\n\n") == []
    assert stream.open()["Last-Event-ID"] == "100"


def test_an_event_that_was_cut_off_is_asked_for_again() -> None:
    stream = EventStream("100")
    assert stream.feed(b'id: 101\nevent: deleted\ndata: {"jobId":"a') == []
    assert stream.open()["Last-Event-ID"] == "100"


def test_a_watch_tells_each_change_and_ends_with_the_job(
    caller: Caller, service: FakeService
) -> None:
    first = job("queued", observedAt="2026-01-01T00:00:00Z")
    again = job("queued", observedAt="2026-01-01T00:00:09Z")
    told = [first, again, job("running", 50), job("completed"), job("failed")]
    service.on(
        f"GET /jobs/{JOB_ID}/events",
        streams(": hello\n\n", *(event(one, number) for number, one in enumerate(told))),
    )
    found = caller.ask(service.url, "watch", JOB_ID)
    assert [one.state for one in found] == ["queued", "running", "completed"]


def test_a_stream_that_breaks_is_resumed_after_the_last_event(
    caller: Caller, service: FakeService
) -> None:
    service.on(
        f"GET /jobs/{JOB_ID}/events",
        streams(event(job("running", 10), 41), event({"jobId": JOB_ID}, 42, "resume")),
        hangs_up,
        problem(503, "not_ready", retry_after=0),
        streams(event(job("running", 10), 42), event(job("completed"), 43)),
    )
    found = caller.ask(service.url, "watch", JOB_ID)
    assert [one.state for one in found] == ["running", "completed"]
    resumed = [headers.get("last-event-id") for _, headers, _ in service.heard]
    assert resumed == [None, "42", "42", "42"]


@pytest.mark.parametrize(
    "refusal",
    [
        problem(404, "not_found"),
        problem(503, "too_many_streams", retry_after=5),
        problem(429, "too_many_own_streams", retry_after=5),
    ],
)
def test_without_a_stream_the_job_is_asked_for_again_and_again(
    caller: Caller, service: FakeService, refusal: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("splitjob_client.watching._FIRST_LOOK", 0.001)
    service.on(f"GET /jobs/{JOB_ID}/events", refusal)
    service.on(
        f"GET /jobs/{JOB_ID}", *map(gives, [job("running", 1), job("running", 1), job("canceled")])
    )
    found = caller.ask(service.url, "watch", JOB_ID)
    assert [one.state for one in found] == ["running", "canceled"]


def test_a_stream_that_has_nothing_more_to_tell_is_not_opened_again(
    caller: Caller, service: FakeService
) -> None:
    opened = streams(event(job("running", 90), 7))
    service.on(f"GET /jobs/{JOB_ID}/events", opened, sends(b"", 204, "text/plain"))
    found = caller.ask(service.url, "watch", JOB_ID)
    assert [one.state for one in found] == ["running"]
    assert len(service.heard) == 2


def test_a_job_that_is_not_there_cannot_be_watched(caller: Caller, service: FakeService) -> None:
    service.on(f"GET /jobs/{JOB_ID}/events", problem(404, "job_not_found"))
    with pytest.raises(NotFoundError):
        caller.ask(service.url, "watch", JOB_ID)
    assert len(service.heard) == 1


def test_a_job_that_is_deleted_while_it_is_watched(caller: Caller, service: FakeService) -> None:
    gone = event({"jobId": JOB_ID}, 2, "deleted")
    service.on(f"GET /jobs/{JOB_ID}/events", streams(event(job("queued"), 1), gone))
    with pytest.raises(JobDeletedError):
        caller.ask(service.url, "watch", JOB_ID)


@pytest.mark.parametrize(
    "answer",
    [sends(b"<html>", 200, "text/html"), streams("event: job\ndata: {}\n\n")],
    ids=["no stream", "no job"],
)
def test_a_stream_that_is_none_of_the_service(
    caller: Caller, service: FakeService, answer: Any
) -> None:
    service.on(f"GET /jobs/{JOB_ID}/events", answer)
    with pytest.raises(UnexpectedAnswerError):
        caller.ask(service.url, "watch", JOB_ID)


def test_all_events_are_told_and_begin_where_one_says(caller: Caller, service: FakeService) -> None:
    gone = event({"jobId": "split-2"}, 8, "deleted")
    service.on("GET /events", streams(event(job("queued"), 7), gone))
    found = caller.ask(service.url, "events", "6", first=2, model="demo")
    assert [(one.event_id, one.job_id) for one in found] == [("7", JOB_ID), ("8", "split-2")]
    assert [one.kind for one in found] == ["job", "deleted"]
    assert found[0].job.state == "queued"
    target, headers, _ = service.heard[0]
    assert (target, headers["last-event-id"]) == ("GET /events?model=demo", "6")
