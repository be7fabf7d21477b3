"""Who may lead: never two at once, whatever their clocks say and however late their calls are."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.support.operator_samples import NOW

from splitjob_operator.core.leader_election import Candidate, LeaseSpec, LeaseTimes, Sighting

TIMES = LeaseTimes(15)
ME = Candidate("me", TIMES)
HELD = LeaseSpec("other", 15, 3, "2026-01-01T00:00:00.000000Z", "2026-01-01T00:00:00.000000Z")


def test_the_times_are_those_of_the_field() -> None:
    assert (TIMES.act, TIMES.renew, TIMES.look) == (10, 2, 1)


@pytest.mark.parametrize(
    ("holder", "now", "may"),
    [("", 0, True), ("me", 0, True), ("other", 114.9, False), ("other", 115, True)],
)
def test_a_lease_is_free_or_ours_or_has_run_out(holder: str, now: float, may: bool) -> None:
    seen = Sighting(LeaseSpec(holder, 15), 100)
    assert ME.may_take(seen, now) is may


def test_a_lease_that_is_not_there_is_free() -> None:
    assert ME.may_take(None, 0)
    taken = ME.taken(None, NOW)
    assert (taken.holder, taken.seconds, taken.transitions) == ("me", 15, 0)


def test_it_runs_out_by_when_it_was_seen_to_change_and_not_by_what_it_says() -> None:
    """Clocks may differ by years."""
    before = Sighting(HELD, 100)
    assert before.then(HELD, 110) is before
    renewed = LeaseSpec("other", 15, 3, HELD.acquired_at, "1970-01-01T00:00:00.000000Z")
    after = before.then(renewed, 110)
    assert not ME.may_take(after, 124)
    assert ME.may_take(after, 125)


def test_its_holders_own_duration_counts() -> None:
    """Two versions, or two settings, beside each other."""
    assert not ME.may_take(Sighting(LeaseSpec("other", 60), 0), 59)


def test_a_change_of_hands_is_counted_and_a_renewal_is_not() -> None:
    taken = ME.taken(HELD, NOW)
    renewed = ME.taken(taken, NOW.replace(year=2030))
    assert (taken.transitions, renewed.transitions) == (4, 4)
    assert taken.acquired_at == renewed.acquired_at == taken.renewed_at
    assert renewed.renewed_at > taken.renewed_at


def test_one_that_is_let_go_of_is_free_at_once() -> None:
    released = ME.released(ME.taken(HELD, NOW), NOW)
    assert Candidate("other", TIMES).may_take(Sighting(released, 0), 0)


@pytest.mark.parametrize("raw", [{}, {"spec": None}, {"spec": {"holderIdentity": None}}])
def test_a_lease_that_somebody_made_empty_is_free(raw: dict[str, Any]) -> None:
    assert ME.may_take(Sighting(LeaseSpec.of(raw), 0), 0)


def test_what_is_written_is_what_is_read() -> None:
    spec = ME.taken(HELD, datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC))
    assert LeaseSpec.of({"spec": spec.to_json()}) == spec
    assert spec.to_json()["renewTime"] == "2026-01-02T03:04:05.000006Z"


@dataclass
class Replica:
    """One candidate: its clock, what it knows, and a write of it that is on its way.

    Attributes:
        me: the candidate.
        speed: of its clock: seconds of it in a true one.
        offset: what its clock says at the true 0.
        until: of its own clock; it may act until then.
        read: the version of the Lease that it has read, and what that said.
        under_way: a write that the server may take at any later time: what, under which version,
            and when the replica began it, by its own clock.
    """

    me: Candidate
    speed: float
    offset: float
    seen: Sighting | None = None
    until: float = float("-inf")
    read: tuple[int, LeaseSpec | None] = (0, None)
    under_way: tuple[LeaseSpec, int, float] | None = None
    answers: list[tuple[LeaseSpec, float]] = field(default_factory=list)

    def clock(self, true: float) -> float:
        return self.offset + self.speed * true


@st.composite
def replicas(draw: st.DrawFn) -> list[Replica]:
    """Two candidates, whose clocks differ by days, and in speed by less than a half."""
    return [
        Replica(
            Candidate(name, TIMES),
            draw(st.sampled_from([0.82, 1.0, 1.22])),
            draw(st.floats(-1e6, 1e6)),
        )
        for name in ("a", "b")
    ]


CHOSEN = st.integers(0, 1)
SECONDS = st.sampled_from([0.1, 1, 5, 9, 12, 15])


class Election(RuleBasedStateMachine):
    """Candidates that stand still, are late and lose answers, at any moment and for any time."""

    @initialize(found=replicas())
    def begin(self, found: list[Replica]) -> None:
        self.replicas = found
        self.now = 0.0
        self.version = 0
        self.lease: LeaseSpec | None = None

    @rule(seconds=SECONDS)
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(seconds=SECONDS, which=CHOSEN)
    def one_holds_or_waits_at_once(self, seconds: float, which: int) -> None:
        """All that follows as one: the rules below take it apart."""
        self.now += seconds
        self.one_looks(which)
        self.one_writes_if_it_may(which)
        self.a_write_arrives(which, answered=True)
        self.an_answer_arrives(which)

    @rule(which=CHOSEN)
    def one_looks(self, which: int) -> None:
        one = self.replicas[which]
        one.read = (self.version, self.lease)
        if self.lease:
            now = one.clock(self.now)
            one.seen = one.seen.then(self.lease, now) if one.seen else Sighting(self.lease, now)

    @rule(which=CHOSEN)
    def one_writes_if_it_may(self, which: int) -> None:
        one = self.replicas[which]
        now = one.clock(self.now)
        if one.under_way is None and one.me.may_take(one.seen, now):
            version, known = one.read
            one.under_way = (one.me.taken(known, NOW), version, now)

    @rule(which=CHOSEN, answered=st.booleans())
    def a_write_arrives(self, which: int, answered: bool) -> None:
        one = self.replicas[which]
        if one.under_way is None:
            return
        (spec, version, began), one.under_way = one.under_way, None
        if version != self.version:
            return
        self.version += 1
        # No two renewals say the same: each has a time of its own.
        self.lease = LeaseSpec(
            spec.holder, spec.seconds, spec.transitions, spec.acquired_at, str(self.version)
        )
        if answered:
            one.answers.append((self.lease, began))

    @rule(which=CHOSEN)
    def an_answer_arrives(self, which: int) -> None:
        one = self.replicas[which]
        for spec, began in one.answers:
            one.read = (self.version, spec) if self.lease == spec else one.read
            now = one.clock(self.now)
            one.seen = one.seen.then(spec, now) if one.seen else Sighting(spec, now)
            one.until = began + TIMES.act
        one.answers.clear()

    @rule(which=CHOSEN)
    def one_lets_go(self, which: int) -> None:
        one = self.replicas[which]
        if self.lease and self.lease.holder == one.me.identity and not one.under_way:
            one.until = float("-inf")
            one.answers.clear()
            self.lease, self.version = one.me.released(self.lease, NOW), self.version + 1

    @invariant()
    def no_two_may_act(self) -> None:
        acting = [one.me.identity for one in self.replicas if one.clock(self.now) < one.until]
        assert len(acting) <= 1


TestElection = Election.TestCase
