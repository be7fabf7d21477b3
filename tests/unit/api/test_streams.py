"""Streams of events: what a reader is told, in which order, and when its stream ends."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from tests.support.api_samples import World, answers_made, splitjob
from tests.support.waiting import patience

from splitjob_api import streams as module
from splitjob_api.cached_job import Changes, JobFilter
from splitjob_api.caller import Caller
from splitjob_api.job_response import JobState
from splitjob_api.streams import (
    MAX_PENDING,
    Streams,
    Subscription,
    TooManyStreamsError,
    TooManyStreamsOfCallerError,
    job_events,
    list_events,
)

ALL = JobFilter()
QUEUED = JobFilter(states=frozenset({JobState.QUEUED}))


class Stage:
    """A cache with a few jobs, and the streams on it.

    Attributes:
        world: the cache.
        streams: follow it.
    """

    def __init__(self, limit: int = 10) -> None:
        self.world = World()
        self.world.list(5, splitjob("a", 3), splitjob("b", 4, versionId="song-2"))
        self.streams = Streams(self.world.jobs, limit)
        self.streams.start()

    async def change(self, event: str, changed: dict[str, Any]) -> None:
        """Let the watch bring a change, and the loop take it in."""
        await asyncio.to_thread(self.world.jobs.apply, event, changed)
        await asyncio.sleep(0)

    def listen(
        self, wanted: JobFilter = ALL, since: int | None = None
    ) -> tuple[Subscription, AsyncIterator[bytes]]:
        subscription = self.streams.subscribe(wanted, None)
        jobs = self.world.jobs
        changes = (
            Changes([], jobs.version, complete=True, observed_at=jobs.observed_at)
            if since is None
            else jobs.changes(since, wanted)
        )
        subscription.floor = changes.version
        return subscription, list_events(subscription, since or changes.version, changes)

    def listen_to(self, name: str) -> AsyncIterator[bytes]:
        subscription = self.streams.subscribe(JobFilter(), name)
        found = self.world.jobs.cached(name)
        assert found
        subscription.floor = found.job.version
        return job_events(subscription, found)


def staged(test: Callable[[Stage], Awaitable[None]]) -> Callable[[], None]:
    """Make a test of what goes on in an event loop."""

    async def run() -> None:
        async with asyncio.timeout(patience(20)):
            await test(Stage())

    def wrapped() -> None:
        asyncio.run(run())

    wrapped.__name__ = test.__name__
    wrapped.__doc__ = test.__doc__
    return wrapped


def parsed(sent: bytes) -> list[tuple[str, str, Any]]:
    """Return the events in what was sent: id, name, data."""
    found = []
    for block in sent.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if line[0] != ":")
        if "event" in fields:
            found.append((fields.get("id", ""), fields["event"], json.loads(fields["data"])))
    return found


@staged
async def test_a_jobs_stream_begins_with_its_state_and_ends_with_the_job(stage: Stage) -> None:
    stream = stage.listen_to("a")
    begin = await anext(stream)
    assert begin.index(b"id: ") > begin.index(b"\n\n"), "no id is known before its event is"
    ((ident, event, now),) = parsed(begin)
    assert (ident, event, now["jobId"], now["state"]) == ("3", "job", "a", "queued")
    assert now["observedAt"]
    await stage.change("MODIFIED", splitjob("a", 6, state="running", percent=40))
    await stage.change("MODIFIED", splitjob("b", 7, state="running"))
    ((ident, _, now),) = parsed(await anext(stream))
    assert (ident, now["progress"]["percent"]) == ("6", 40)
    await stage.change("MODIFIED", splitjob("a", 8, state="completed"))
    ((ident, _, now),) = parsed(await anext(stream))
    assert (ident, now["state"]) == ("8", "completed")
    assert [one async for one in stream] == []


@staged
async def test_a_stream_and_the_job_say_the_same(stage: Stage) -> None:
    stream = stage.listen_to("a")
    await anext(stream)
    await stage.change("MODIFIED", splitjob("a", 6, state="running", percent=40))
    ((_, _, told),) = parsed(await anext(stream))
    found = stage.world.jobs.cached("a")
    assert found
    assert {**json.loads(found.job.answer()), "observedAt": told["observedAt"]} == told


@staged
async def test_a_stream_of_a_job_that_is_deleted_says_so_and_ends(stage: Stage) -> None:
    stream = stage.listen_to("a")
    await anext(stream)
    await stage.change("DELETED", splitjob("a", 6))
    assert parsed(await anext(stream)) == [("6", "deleted", {"jobId": "a"})]
    assert [one async for one in stream] == []


@staged
async def test_a_reader_who_slept_is_told_the_latest_of_each_job_and_never_goes_back(
    stage: Stage,
) -> None:
    _, stream = stage.listen()
    await anext(stream)
    await stage.change("MODIFIED", splitjob("a", 6, state="running", percent=1))
    await stage.change("MODIFIED", splitjob("b", 7, state="running"))
    await stage.change("MODIFIED", splitjob("a", 8, state="running", percent=2))
    told = parsed(await anext(stream))
    assert [(ident, job["jobId"]) for ident, _, job in told] == [("7", "b"), ("8", "a")]


@staged
async def test_the_list_is_told_from_last_event_id_on(stage: Stage) -> None:
    await stage.change("MODIFIED", splitjob("a", 6, state="running"))
    await stage.change("DELETED", splitjob("b", 7, versionId="song-2"))
    _, stream = stage.listen(since=5)
    opening = await anext(stream)
    assert b"id: 5\n" in opening
    assert not parsed(opening)
    assert [one[:2] for one in parsed(await anext(stream))] == [("6", "job"), ("7", "deleted")]
    await stage.change("MODIFIED", splitjob("a", 8, state="completed"))
    assert [one[:2] for one in parsed(await anext(stream))] == [("8", "job")]


@staged
async def test_answers_of_a_replay_are_made_outside_the_event_loop(stage: Stage) -> None:
    for version in (6, 7):
        await stage.change("MODIFIED", splitjob("a" if version == 6 else "b", version))
    with answers_made() as makers:
        _, stream = stage.listen(since=5)
        await anext(stream)
        assert len(parsed(await anext(stream))) == 2
    assert threading.get_ident() not in makers
    assert len(makers) == 2


@staged
async def test_where_deletions_are_not_known_the_reader_is_told_to_reload(stage: Stage) -> None:
    _, stream = stage.listen(since=3)
    assert parsed(await anext(stream)) == [("", "reload", {})]
    assert [one[0] for one in parsed(await anext(stream))] == ["4"]


@staged
async def test_a_filter_is_told_of_its_jobs_and_once_more_when_one_leaves(stage: Stage) -> None:
    _, stream = stage.listen(QUEUED)
    _, other = stage.listen(JobFilter(version_id="song-2"))
    await anext(stream)
    await anext(other)
    await stage.change("MODIFIED", splitjob("a", 6, state="running"))
    await stage.change("MODIFIED", splitjob("a", 7, state="completed"))
    await stage.change("MODIFIED", splitjob("b", 8, versionId="song-2"))
    told = parsed(await anext(stream))
    assert [(job["jobId"], job["state"]) for _, _, job in told] == [
        ("a", "running"),
        ("b", "queued"),
    ]
    assert [job["jobId"] for _, _, job in parsed(await anext(other))] == ["b"]


@staged
async def test_a_reader_who_never_reads_is_told_to_resume_and_costs_no_memory(
    stage: Stage,
) -> None:
    subscription, stream = stage.listen()
    await anext(stream)
    for number in range(MAX_PENDING + 5):
        await stage.change("ADDED", splitjob(f"many-{number}", 10 + number))
    assert not subscription._pending
    assert parsed(await anext(stream)) == [("", "resume", {})]
    assert [one async for one in stream] == []


@staged
async def test_while_nothing_happens_comments_are_sent(stage: Stage) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "COMMENT_SECONDS", 0.01)
        _, stream = stage.listen()
        await anext(stream)
        assert (await anext(stream)).startswith(b":")
        assert (await anext(stream)).startswith(b":")


@staged
async def test_a_stream_lives_for_a_while_and_is_then_told_to_resume(stage: Stage) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "COMMENT_SECONDS", 0.01)
        patch.setattr(module, "LIFE_SECONDS", 0.0)
        _, stream = stage.listen()
        sent = b"".join([one async for one in stream])
        assert [one[1] for one in parsed(sent)] == ["resume"]


@staged
async def test_a_stream_by_a_kubernetes_token_lives_for_a_minute_whoever_lost_the_right(
    stage: Stage,
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "COMMENT_SECONDS", 0.01)
        patch.setattr(module, "KUBERNETES_LIFE_SECONDS", 0.0)
        subscription = stage.streams.subscribe(ALL, None, Caller("kubernetes", "ana"))
        sent = b"".join([one async for one in module.following(subscription)])
        assert [one[1] for one in parsed(sent)] == ["resume"]
    signed = stage.streams.subscribe(ALL, None, Caller("token", "token-1"))
    assert signed.life_seconds == module.LIFE_SECONDS


@staged
async def test_one_caller_leaves_a_quarter_of_the_streams_to_others(stage: Stage) -> None:
    streams = Streams(stage.world.jobs, 8)
    ana, ben = Caller("kubernetes", "ana"), Caller("kubernetes", "ben")
    opened = [streams.subscribe(ALL, name, ana) for name in (None, "a", "b", None, "a", None)]
    with pytest.raises(TooManyStreamsOfCallerError):
        streams.subscribe(ALL, None, ana)
    streams.subscribe(ALL, None, ben)
    streams.unsubscribe(opened[1])
    streams.subscribe(ALL, "b", ana)


@staged
async def test_all_streams_end_when_told_and_no_new_one_begins(stage: Stage) -> None:
    _, stream = stage.listen()
    of_job = stage.listen_to("a")
    await anext(stream)
    await anext(of_job)
    stage.streams.close()
    for one in (stream, of_job):
        assert [event[1] for event in parsed(b"".join([sent async for sent in one]))] == ["resume"]
    with pytest.raises(TooManyStreamsError):
        stage.streams.subscribe(JobFilter(), None)


@staged
async def test_streams_are_limited_in_number(stage: Stage) -> None:
    streams = Streams(stage.world.jobs, 3)
    opened = [streams.subscribe(JobFilter(), name) for name in (None, "a", "a")]
    with pytest.raises(TooManyStreamsError):
        streams.subscribe(JobFilter(), None)
    streams.unsubscribe(opened[2])
    assert streams.count == 2
    streams.subscribe(JobFilter(), "b")
    for subscription in opened:
        streams.unsubscribe(subscription)
    assert streams.count == 1


@staged
async def test_after_a_restore_of_the_cluster_all_are_told_to_reload(stage: Stage) -> None:
    _, stream = stage.listen()
    await anext(stream)
    await asyncio.to_thread(stage.world.list, 2, splitjob("a", 1))
    await asyncio.sleep(0)
    assert [one[1] for one in parsed(b"".join([sent async for sent in stream]))] == ["reload"]


@staged
async def test_an_outage_of_the_watch_is_bridged(stage: Stage) -> None:
    """What happened meanwhile comes with the next list."""
    _, stream = stage.listen()
    await anext(stream)
    stage.world.jobs.mark_stale()
    await asyncio.to_thread(
        stage.world.list, 20, splitjob("a", 12, state="failed"), splitjob("c", 11)
    )
    await asyncio.sleep(0)
    assert [one[:2] for one in parsed(await anext(stream))] == [
        ("11", "job"),
        ("12", "job"),
        ("20", "deleted"),
    ]
