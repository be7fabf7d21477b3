"""Final webhooks of a real operator: receivers that hang, fail, redirect or want none."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from tests.support.operator_harness import Site, site
from tests.support.waiting import eventually, patience
from tests.support.web import Request, answer, in_turn

from splitjob_local.cluster.local_cluster import LocalCluster


@pytest.fixture(scope="module")
def here(crd: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(crd, tmp_path_factory.mktemp("events")) as place:
        place.start()
        yield place


def test_a_receiver_that_hangs_delays_no_other(here: Site) -> None:
    """Acceptance 62. Eight are sent at once to one receiver: the slow ones take four times 14 s."""
    slow, heard = [f"slow-{number}" for number in range(28)], threading.Event()

    def hang(request: Request) -> None:
        heard.wait(14)  # a little less than a receiver has
        answer(204)(request)

    for name in slow:
        here.receiver.answers[f"/hooks/{name}"] = hang
        here.ask("complete", name=name, spec={"canceled": True})
    eventually(lambda: all(here.receiver.of(name) for name in slow[:8]))
    # Canceled like the others, so that no worker has to start while they hang.
    name = here.ask("complete", spec={"canceled": True}, webhook={"url": f"{here.other.base}x"})
    eventually(lambda: here.other.of(name))
    assert not all(here.receiver.of(name) for name in slow)
    heard.set()


def test_errors_then_delivered(here: Site) -> None:
    """Acceptance 59: the same id, a fresh timestamp."""
    here.receiver.answers["/hooks/flaky"] = in_turn(answer(500), answer(204))
    name = here.ask("complete", name="flaky")
    eventually(lambda: len(here.receiver.of(name)) == 2)
    first, second = here.receiver.of(name)
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert second.at - first.at > 3
    assert second.headers["x-timestamp"] > first.headers["x-timestamp"]
    eventually(lambda: here.condition(name, "Notified")["status"] == "True")
    assert here.status(name)["webhook"]["attempts"] == 2


def test_redirects_gone_and_retry_after(here: Site) -> None:
    """Acceptance 61; then redelivery by hand (60)."""
    here.receiver.answers["/hooks/gone"] = answer(410)
    here.receiver.answers["/hooks/moved"] = answer(307, Location=f"{here.receiver.base}there")
    here.receiver.answers["/hooks/later"] = answer(503, **{"Retry-After": "3600"})
    for name in ("gone", "moved", "later"):
        here.ask("fail audio_too_long", name=name)
    eventually(lambda: here.status("gone")["webhook"]["state"] == "GivenUp")
    eventually(lambda: "307" in here.status("moved")["webhook"]["lastError"])
    hook = eventually(lambda: here.status("later")["webhook"]["lastError"] and here.status("later"))
    finished, again = hook["finishedAt"], hook["webhook"]["nextAttemptAt"]
    waits = datetime.fromisoformat(again) - datetime.fromisoformat(finished)
    assert 3590 < waits.total_seconds() < 3600 + patience(), "five, by the schedule alone"
    assert [one.path for one in here.receiver.heard if one.path == "/hooks/there"] == []
    del here.receiver.answers["/hooks/gone"]
    here.change("gone", redeliveries=1)
    eventually(lambda: here.status("gone")["webhook"]["state"] == "Delivered")
    first, second = here.receiver.of("gone")
    assert first.headers["webhook-id"] == second.headers["webhook-id"]


def test_a_receiver_down_for_76_hours_is_given_up_and_told_by_redelivery(here: Site) -> None:
    """Acceptance 60: the schedule is set forward to its last attempt, as if it had waited."""
    here.receiver.answers["/hooks/down"] = answer(500)
    name = here.ask("complete", name="down", spec={"canceled": True})
    eventually(lambda: here.status(name)["webhook"]["attempts"] == 1)
    here.change_status(name, webhook={"attempts": 9, "nextAttemptAt": "2026-01-01T00:00:00Z"})
    hook = eventually(lambda: here.status(name)["webhook"].get("givenUpAt") and here.status(name))
    assert hook["webhook"]["state"] == "GivenUp"
    assert (hook["webhook"]["attempts"], hook["phase"]) == (10, "Canceled")
    assert "500" in here.condition(name, "Notified")["message"]
    assert here.condition(name, "Notified")["status"] == "False"
    tried = len(here.receiver.of(name))
    del here.receiver.answers["/hooks/down"]
    here.change(name, redeliveries=1)
    eventually(lambda: here.status(name)["webhook"]["state"] == "Delivered")
    assert len(here.receiver.of(name)) == tried + 1
    assert len({one.headers["webhook-id"] for one in here.receiver.of(name)}) == 1
    assert here.condition(name, "Notified")["status"] == "True"


def test_a_finished_job_is_deleted_after_its_delivery_and_its_time_to_live(here: Site) -> None:
    """Acceptance 58."""
    here.receiver.answers["/hooks/kept"] = answer(503)
    kept = here.ask("fail audio_too_long", name="kept", spec={"ttlSecondsAfterFinished": 1})
    name = here.ask("fail audio_too_long", spec={"ttlSecondsAfterFinished": 1})
    eventually(lambda: name not in here.names("splitjobs"))
    assert here.receiver.of(name)
    assert here.status(kept)["webhook"]["state"] == "Pending"


def test_a_finished_job_is_deleted_once_its_event_was_given_up(here: Site) -> None:
    """Acceptance 58: the receiver wants none, which it says at the first attempt."""
    here.receiver.answers["/hooks/unwanted"] = answer(410)
    name = here.ask("complete", name="unwanted", spec={"ttlSecondsAfterFinished": 4})
    given_up = eventually(lambda: here.status(name)["webhook"]["givenUpAt"])
    eventually(lambda: name not in here.names("splitjobs"))
    lived = datetime.now(UTC) - datetime.fromisoformat(given_up)
    assert lived.total_seconds() >= 4
    assert len(here.receiver.of(name)) == 1
