"""Holding a Lease, waiting for it, losing it: what is written and told, and when it may act."""

import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest
from tests.support.operator_samples import NOW

from splitjob_kube.errors import (
    AlreadyExistsError,
    ConflictError,
    KubernetesError,
    NotFoundError,
    UnreachableError,
)
from splitjob_operator.core.leader_election import Candidate, LeaseTimes
from splitjob_operator.runtime.leader_elector import LeaderElector
from splitjob_operator.runtime.leadership import Leadership, NotLeadingError

TIMES = LeaseTimes(15)
NAME = "audio-operator"


class Leases:
    """The Lease, as the API server keeps it.

    Attributes:
        stored: the Lease; None: there is none.
        away: raised at each call where it is set.
        loses_answers: whether a write takes effect without an answer.
    """

    def __init__(self) -> None:
        self.stored: dict[str, Any] | None = None
        self.away: KubernetesError | None = None
        self.loses_answers = False
        self.writes = 0

    def lease(self, name: str) -> dict[str, Any] | None:
        assert name == NAME
        if self.away:
            raise self.away
        return self.stored

    def write_lease(self, lease: dict[str, Any]) -> dict[str, Any]:
        if self.away:
            raise self.away
        version = lease["metadata"].get("resourceVersion")
        if version is None and self.stored:
            raise AlreadyExistsError("there is one", 409)
        if version and self.stored is None:
            raise NotFoundError("gone", 404)
        if version and self.stored and version != self.stored["metadata"]["resourceVersion"]:
            raise ConflictError("changed", 409)
        self.writes += 1
        self.stored = {**lease, "metadata": {"name": NAME, "resourceVersion": str(self.writes)}}
        if self.loses_answers:
            raise UnreachableError("no answer")
        return self.stored

    @property
    def holder(self) -> str:
        assert self.stored
        found: str = self.stored["spec"]["holderIdentity"]
        return found


class Replica:
    """One candidate with its clock, and what it was told to do."""

    def __init__(self, leases: Leases, name: str, clock: list[float]) -> None:
        self.told: list[bool] = []
        self.at_work = True
        self.leadership = Leadership(lambda: clock[0])
        self.elector = LeaderElector(
            leases,
            NAME,
            Candidate(name, TIMES),
            self.leadership,
            self.told.append,
            lambda: self.at_work,
            lambda: clock[0],
            lambda: NOW.replace(microsecond=int(clock[0] * 1000) % 1_000_000),
        )

    def step(self) -> float:
        return self.elector.step()

    def leads(self) -> bool:
        return self.leadership.leads


@pytest.fixture
def leases() -> Leases:
    return Leases()


@pytest.fixture
def clock() -> list[float]:
    return [1000.0]


@pytest.fixture
def pair(leases: Leases, clock: list[float]) -> tuple[Replica, Replica]:
    """One that leads, and one that stands by."""
    leader, standby = (Replica(leases, name, clock) for name in ("leader", "standby"))
    assert (leader.step(), standby.step()) == (TIMES.renew, TIMES.look)
    return leader, standby


def pass_time(clock: list[float], seconds: float, *replicas: Replica) -> None:
    """Let time pass second by second, in which some of them act."""
    for _ in range(round(seconds)):
        clock[0] += 1
        for replica in replicas:
            replica.step()


def test_one_leads_and_the_other_stands_by(
    pair: tuple[Replica, Replica], leases: Leases, clock: list[float]
) -> None:
    leader, standby = pair
    pass_time(clock, 60, leader, standby)
    assert (leader.leads(), standby.leads()) == (True, False)
    assert (leader.told, standby.told) == ([True], [False])
    assert leases.holder == "leader"


def test_one_that_is_silent_is_replaced_within_its_lease(
    pair: tuple[Replica, Replica], leases: Leases, clock: list[float]
) -> None:
    leader, standby = pair
    pass_time(clock, 14, standby)
    assert (leader.leads(), standby.leads()) == (False, False)
    pass_time(clock, 2, standby)
    assert standby.leads()
    assert standby.told == [False, True]
    assert leases.stored
    assert leases.stored["spec"]["leaseTransitions"] == 1


def test_one_whose_event_loop_is_blocked_is_replaced_and_stands_by_when_it_goes_on(
    pair: tuple[Replica, Replica],
    leases: Leases,
    clock: list[float],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Acceptance 71: though the thread that would renew goes on."""
    leader, standby = pair
    leader.at_work = False
    pass_time(clock, 16, leader, standby)
    assert (leader.leads(), standby.leads(), leases.holder) == (False, True, "standby")
    assert caplog.text.count("The event loop does not answer") == 1
    leader.at_work = True
    for _ in range(2):  # its renewal is refused, then it looks
        leader.step()
    assert leader.told == [True, False]


def test_one_whose_event_loop_is_blocked_for_a_moment_goes_on(
    pair: tuple[Replica, Replica], clock: list[float]
) -> None:
    leader, standby = pair
    leader.at_work = False
    pass_time(clock, 9, leader, standby)
    leader.at_work = True
    pass_time(clock, 30, leader, standby)
    assert (leader.leads(), leader.told, standby.told) == (True, [True], [False])


def test_one_whose_event_loop_is_blocked_takes_no_lease(leases: Leases, clock: list[float]) -> None:
    one = Replica(leases, "one", clock)
    one.at_work = False
    assert one.step() == TIMES.look
    assert (leases.stored, one.told) == (None, [])


def test_one_that_stood_still_knows_by_the_clock_before_it_asks(
    pair: tuple[Replica, Replica], clock: list[float]
) -> None:
    leader, _ = pair
    clock[0] += TIMES.act
    with pytest.raises(NotLeadingError):
        leader.leadership.fence()


def test_one_that_stood_still_stands_by_once_it_has_looked(
    pair: tuple[Replica, Replica], leases: Leases, clock: list[float]
) -> None:
    leader, standby = pair
    pass_time(clock, 20, standby)
    for _ in range(2):  # its renewal is refused, then it looks
        leader.step()
    assert leader.told == [True, False]
    assert leases.holder == "standby"
    pass_time(clock, 60, leader, standby)
    assert (leader.leads(), standby.leads()) == (False, True)


def test_one_that_stood_still_and_was_not_replaced_goes_on(
    pair: tuple[Replica, Replica], clock: list[float]
) -> None:
    leader, _ = pair
    clock[0] += 3600
    assert not leader.leads()
    leader.step()
    assert leader.leads()
    assert leader.told == [True], "nobody else has led meanwhile"


def test_an_outage_changes_nobodys_part(
    pair: tuple[Replica, Replica],
    leases: Leases,
    clock: list[float],
    caplog: pytest.LogCaptureFixture,
) -> None:
    leader, standby = pair
    leases.away = UnreachableError("the API server does not answer")
    with caplog.at_level(logging.INFO, logger="splitjob_operator.runtime.leader_elector"):
        pass_time(clock, 60, leader, standby)
        assert not leader.leads()
        leases.away = None
        assert leader.step() == TIMES.renew
    assert leader.leads()
    assert (leader.told, standby.told) == ([True], [False])
    assert [record.getMessage() for record in caplog.records] == [
        "Nothing is done until the Lease can be written: the API server does not answer",
        f"The Lease {NAME} can be written again",
    ]


def test_a_renewal_without_an_answer_is_tried_again_soon_and_no_renewal(
    pair: tuple[Replica, Replica], leases: Leases, clock: list[float]
) -> None:
    leader, _ = pair
    leases.loses_answers = True
    clock[0] += 9
    assert leader.step() == TIMES.look
    clock[0] += 1
    assert not leader.leads()
    leases.loses_answers = False
    leader.step()
    assert leader.leads()


def test_one_whose_taking_had_no_answer_leads_once_it_knows(
    leases: Leases, clock: list[float]
) -> None:
    one = Replica(leases, "one", clock)
    leases.loses_answers = True
    one.step()
    assert not one.leads()
    leases.loses_answers = False
    one.step()
    assert one.leads()
    assert one.told == [True]


def test_a_lease_that_is_deleted_is_made_anew_by_who_leads(
    pair: tuple[Replica, Replica], leases: Leases, clock: list[float]
) -> None:
    leader, standby = pair
    leases.stored = None
    standby.step()
    assert leases.stored is None, "the leader may still act"
    for _ in range(2):
        leader.step()
    assert (leader.leads(), leases.holder) == (True, "leader")
    assert leader.told == [True]


def test_one_that_is_started_again_under_its_name_leads_at_once(
    pair: tuple[Replica, Replica], leases: Leases, clock: list[float]
) -> None:
    """As the container of a pod after a crash."""
    again = Replica(leases, "leader", clock)
    again.step()
    assert again.leads()


def test_one_that_stops_lets_the_other_lead_at_once(
    pair: tuple[Replica, Replica], leases: Leases, clock: list[float]
) -> None:
    leader, standby = pair
    run = threading.Thread(target=leader.elector.run)
    run.start()
    leader.elector.stop()
    run.join(60)
    assert not leader.leads()
    assert leases.holder == ""
    standby.step()
    assert standby.leads()


def test_one_that_stands_by_writes_nothing_when_it_stops(
    pair: tuple[Replica, Replica], leases: Leases
) -> None:
    _, standby = pair
    before = leases.writes
    standby.elector.stop()
    standby.elector.run()
    assert leases.writes == before


def test_one_that_cannot_let_go_ends_nevertheless(
    pair: tuple[Replica, Replica], leases: Leases, caplog: pytest.LogCaptureFixture
) -> None:
    leader, _ = pair
    leases.away = UnreachableError("the API server does not answer")
    leader.elector.stop()
    leader.elector.run()
    assert "could not be let go of" in caplog.text


def test_each_change_is_logged_with_who_leads(
    leases: Leases, clock: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    leader, standby = (Replica(leases, name, clock) for name in ("a", "b"))
    with caplog.at_level(logging.INFO, logger="splitjob_operator.runtime.leader_elector"):
        for replica in (leader, standby, leader, standby):
            replica.step()
    assert [record.getMessage() for record in caplog.records] == [
        f"Leading from now on: a holds the Lease {NAME}",
        f"Standing by: a holds the Lease {NAME}",
    ]


@pytest.mark.parametrize("end", [Leadership.lose, Leadership.resign])
def test_what_is_lost_by_the_clock_can_also_be_given_up(
    end: Callable[[Leadership], None],
) -> None:
    leadership = Leadership(lambda: 0.0)
    leadership.extend(1.0)
    leadership.fence()
    end(leadership)
    assert not leadership.leads
    leadership.extend(1.0)
    assert leadership.leads is (end is Leadership.lose), "who has resigned never leads again"
