"""From a request to one SplitJob: what is asked of the cluster, and what must hold whatever is."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitjob.intent import name_of_key
from splitjob.request import SplitRequest
from splitjob_api.kubernetes import SplitJobObject
from splitjob_api.submission import IdempotencyConflictError, Submission, Submitted

BODY = {
    "versionId": "song-1",
    "audioUrl": "https://audio.example.com/song.wav?X-Amz-Signature=secret",
    "aiModel": "demo",
    "webhook": "https://hooks.example.com/demucs",
}


class QueueFullError(Exception):
    """No new job may be taken."""


@dataclass
class Store:
    """A cluster that keeps what it is given, and says what it was asked."""

    jobs: dict[str, SplitJobObject] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    async def get(self, name: str) -> SplitJobObject | None:
        self.asked.append("get")
        return self.jobs.get(name)

    async def with_intent(self, intent_label: str) -> list[SplitJobObject]:
        self.asked.append("list")
        return list(self.jobs.values())

    async def create(self, splitjob: SplitJobObject) -> SplitJobObject | None:
        self.asked.append("create")
        name = splitjob["metadata"]["name"]
        if name in self.jobs:
            return None
        self.jobs[name] = splitjob
        return splitjob

    async def create_secret(
        self, name: str, data: Mapping[str, str], labels: Mapping[str, str]
    ) -> None:
        self.asked.append("secret")

    def end(self, name: str, status: str) -> None:
        """Write a verdict, as the operator does."""
        succeeded = {
            "type": "Succeeded",
            "status": status,
            "reason": "Completed" if status == "True" else "GpuError",
            "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
        self.jobs[name]["status"] = {"conditions": [succeeded]}

    def serving(self) -> list[str]:
        """The jobs that have not failed."""
        return [
            name
            for name, job in self.jobs.items()
            if job.get("status", {}).get("conditions", [{}])[0].get("status") != "False"
        ]


def submit(
    store: Store,
    *,
    absent: bool | Callable[[], bool] = True,
    retried: bool | Callable[[], bool] = False,
    refusal: Exception | None = None,
    **fields: Any,
) -> Submitted:
    request = SplitRequest.model_validate({**BODY, **fields})
    submission = Submission(
        store,
        request.to_resource_draft(),
        0,
        retried=lambda _: retried() if callable(retried) else retried,
        absent=lambda _: absent() if callable(absent) else absent,
        refusal=lambda: refusal,
    )
    return asyncio.run(submission.submit())


@pytest.mark.parametrize("key", [{}, {"idempotencyKey": "key-1"}])
class TestUnseen:
    """A request whose job the watch has not shown."""

    def test_a_new_job_costs_the_two_writes_that_it_is_made_of(self, key: dict[str, Any]) -> None:
        store = Store()
        assert submit(store, **key).created
        assert store.asked == ["secret", "create"]

    def test_a_name_that_is_taken_after_all_is_read(self, key: dict[str, Any]) -> None:
        store = Store()
        first = submit(store, **key)
        again = submit(store, **key)
        assert (again.created, again.job_id) == (False, first.job_id)
        assert len(store.jobs) == 1

    def test_a_job_that_is_there_serves_where_no_new_one_may_be_taken(
        self, key: dict[str, Any]
    ) -> None:
        store = Store()
        first = submit(store, **key)
        store.asked.clear()
        again = submit(store, refusal=QueueFullError(), **key)
        assert (again.created, again.job_id) == (False, first.job_id)
        assert store.asked == ["get"]

    def test_a_refused_request_leaves_nothing(self, key: dict[str, Any]) -> None:
        store = Store()
        with pytest.raises(QueueFullError):
            submit(store, refusal=QueueFullError(), **key)
        assert set(store.asked) == {"get"}


def test_a_job_that_the_watch_has_shown_is_read_before_anything_is_written() -> None:
    store = Store()
    submit(store)
    store.asked.clear()
    assert not submit(store, absent=False).created
    assert store.asked == ["get"]


def test_another_body_for_a_key_is_refused_also_where_its_job_is_not_seen_yet() -> None:
    store = Store()
    submit(store, idempotencyKey="key-1")
    with pytest.raises(IdempotencyConflictError) as conflict:
        submit(store, idempotencyKey="key-1", versionId="another")
    assert conflict.value.job_id == name_of_key("key-1")
    assert len(store.jobs) == 1


def test_a_failed_job_that_is_not_seen_yet_gets_a_next_one() -> None:
    store = Store()
    first = submit(store)
    store.end(first.job_id, "False")
    second = submit(store)
    assert second.created
    assert second.job_id != first.job_id
    assert submit(store, retried=True).job_id == second.job_id


def test_a_first_job_that_is_gone_before_the_watch_says_so_hides_no_later_one() -> None:
    """It failed, was retried through another replica and deleted; this watch is behind."""
    store = Store()
    first = submit(store)
    store.end(first.job_id, "False")
    second = submit(store)
    del store.jobs[first.job_id]
    again = submit(store, absent=False)
    assert (again.created, again.job_id) == (False, second.job_id)
    assert store.serving() == [second.job_id]


def test_a_watch_that_catches_up_between_two_questions_doubles_no_job() -> None:
    """Between whether the first is shown and whether a later one is."""
    store = Store()
    first = submit(store)
    store.end(first.job_id, "False")
    second = submit(store)
    del store.jobs[first.job_id]
    answered: list[bool] = []

    def catches_up() -> bool:
        answered.append(True)
        return len(answered) > 1

    again = submit(store, absent=catches_up, retried=catches_up)
    assert (again.created, again.job_id) == (False, second.job_id)


@given(
    st.lists(st.sampled_from(["ask", "ask, seen", "ask, retried", "fail", "complete"]), max_size=12)
)
def test_whatever_the_watch_shows_an_intent_has_one_job_that_serves_it(steps: list[str]) -> None:
    """One that failed is followed by a next one; one that did not is never doubled."""
    store = Store()
    for step in with_an_end(steps):
        if step.startswith("ask"):
            before = store.serving()
            submitted = submit(store, absent=step == "ask", retried=step == "ask, retried")
            assert submitted.created == (not before)
            assert store.serving() == [submitted.job_id]
        elif serving := store.serving():
            store.end(serving[0], "False" if step == "fail" else "True")


def with_an_end(steps: list[str]) -> Iterator[str]:
    """Yield steps, and at the end a request in each of the ways."""
    yield from (*steps, "ask", "ask, seen", "ask, retried")
