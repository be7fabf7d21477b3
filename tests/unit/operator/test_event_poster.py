"""Events behind the work: nothing waits for one, none is left out."""

import asyncio
import threading
from typing import Any

import pytest
from tests.support.waiting import eventually

from splitjob_kube.errors import UnreachableError
from splitjob_operator.runtime import event_poster
from splitjob_operator.runtime.event_poster import EventPoster
from splitjob_operator.runtime.metrics import EVENTS_LOST

Json = dict[str, Any]


class Events:
    """Where Events are posted: an API server that can be held up, or be away.

    Attributes:
        posted: the reasons of those that came, with the thread that each came from.
        answers: whether it answers.
        away: what it fails on.
    """

    def __init__(self) -> None:
        self.posted: list[tuple[str, str]] = []
        self.answers = threading.Event()
        self.answers.set()
        self.away: set[str] = set()

    def create_event(self, event: Json) -> None:
        self.answers.wait()
        if event["reason"] in self.away:
            raise UnreachableError("cannot create an event")
        self.posted.append((event["reason"], threading.current_thread().name))

    @property
    def reasons(self) -> list[str]:
        return [reason for reason, _ in self.posted]


def event(reason: str) -> Json:
    return {"reason": reason, "involvedObject": {"name": "a"}}


def post(poster: EventPoster, *reasons: str) -> None:
    for reason in reasons:
        poster.post(event(reason))


def test_nothing_waits_for_an_event_and_they_come_in_their_order() -> None:
    events = Events()
    poster = EventPoster(events)
    poster.start()
    events.answers.clear()
    post(poster, "one", "two", "three")
    assert events.posted == []
    events.answers.set()
    eventually(lambda: events.reasons == ["one", "two", "three"])
    assert {thread for _, thread in events.posted} == {"events"}


def test_an_event_that_is_lost_is_counted_and_holds_back_no_other() -> None:
    events = Events()
    events.away = {"one"}
    poster = EventPoster(events)
    poster.start()
    before = EVENTS_LOST._value.get()
    post(poster, "one", "two")
    eventually(lambda: events.reasons == ["two"])
    assert EVENTS_LOST._value.get() == before + 1


def test_where_too_many_wait_who_brings_one_posts_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_poster, "WAITING", 1)
    events = Events()
    poster = EventPoster(events)
    poster._open = True  # and nobody takes what waits
    post(poster, "waits", "at once")
    assert events.posted == [("at once", threading.current_thread().name)]


def test_at_the_end_what_waits_is_posted_and_then_each_at_once() -> None:
    events = Events()
    poster = EventPoster(events)
    poster.start()
    events.answers.clear()
    post(poster, "waits")

    async def end() -> None:
        closing = asyncio.create_task(poster.close())
        await asyncio.sleep(0)
        assert not closing.done()
        events.answers.set()
        await closing

    asyncio.run(end())
    assert events.reasons == ["waits"]
    post(poster, "late")
    assert events.posted[-1] == ("late", threading.current_thread().name)


def test_an_end_does_not_wait_for_an_api_server_that_is_silent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(event_poster, "LAST_SECONDS", 0.01)
    events = Events()
    poster = EventPoster(events)
    poster.start()
    events.answers.clear()
    post(poster, "waits")
    asyncio.run(poster.close())
    assert events.posted == []
    events.answers.set()
