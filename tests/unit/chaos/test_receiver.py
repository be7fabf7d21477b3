"""A receiver in a mood keeps what it was told, and answers as the mood is."""

from collections.abc import Iterator
from random import Random

import httpx
import pytest
from tests.support.ports import free_port
from tests.support.waiting import patience

from chaos.receiver import DOWN, HANGS_UP, LIES, LOSES, WELL, Receiver


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver(f"http://127.0.0.1:{free_port()}/hooks/", Random(1)) as listening:
        yield listening


def tell(receiver: Receiver) -> int:
    """Send a webhook; 0: the receiver hangs up."""
    try:
        return httpx.post(receiver.base_url, json={"jobId": "x"}, timeout=patience(5)).status_code
    except httpx.TransportError:
        return 0


def test_each_mood_has_its_answer_and_all_but_one_have_heard(receiver: Receiver) -> None:
    answers = {}
    for mood in (WELL, LIES, LOSES, HANGS_UP, DOWN, WELL):
        receiver.be(mood)
        answers[mood] = tell(receiver)
    assert answers == {WELL: 204, LIES: 500, LOSES: 200, HANGS_UP: 0, DOWN: 0}
    assert [one.mood for one in receiver.heard] == [WELL, LIES, LOSES, HANGS_UP, WELL]
    assert {one.body["jobId"] for one in receiver.heard} == {"x"}
