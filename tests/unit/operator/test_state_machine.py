"""Every order of events that can be thought of: a state machine over `reconcile`.

Crashes after any write, lost, late and repeated looks, two operators, clock jumps, every end of a
pod, workers cut off that go on, a storage and a receiver that come and go. Acceptance 37 to 39, 44,
46, 46a, 46b, 51, 54 in all their orders.
"""

from datetime import timedelta

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from tests.support.examples import examples
from tests.support.operator_samples import completed_pod, ended_pod, failed_pod
from tests.support.operator_samples import settings as operator_settings
from tests.support.operator_world import World

from splitjob_operator.core.observed import KubeJob, KubePod, Observed
from splitjob_operator.core.plan import Plan

ENDS: list[KubePod] = [
    completed_pod(),
    ended_pod(0),
    ended_pod(1),
    ended_pod(137),
    ended_pod(137, reason="OOMKilled"),
    ended_pod(137, disruption="PreemptionByScheduler"),
    ended_pod(143, disruption="EvictionByEvictionAPI"),
    failed_pod("source_not_found"),
    failed_pod("source_unavailable", retryable=True),
    failed_pod("upload_failed", retryable=True),
    failed_pod("gpu_error", retryable=True),
]
MANY = 400


class Life(RuleBasedStateMachine):
    """One SplitJob's life, however it goes."""

    plans = Bundle("plans")

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.meddled = False
        self.given: tuple[str, str] | None = None

    @initialize(meddled=st.booleans(), started=st.booleans(), kept=st.sampled_from([0, 0, 300]))
    def begin(self, meddled: bool, started: bool, kept: int) -> None:
        """Some lives are canceled, suspended or held up, and some begin with a worker at work.

        Some installations keep the Jobs of attempts that have ended for a while.
        """
        self.meddled = meddled
        self.world.settings = operator_settings(keep_finished_jobs_seconds=kept)
        if started:
            self.all_goes_well()

    # The operator, with its accidents

    @rule(crash_after=st.none() | st.integers(0, 4))
    def reconcile(self, crash_after: int | None) -> None:
        self.world.step(crash_after)

    @rule(target=plans)
    def look(self) -> tuple[Observed, Plan]:
        """A second operator, or a slow one, makes a plan of what it sees now..."""
        seen = self.world.observe()
        return seen, self.world.plan(seen)

    @rule(plan=plans)
    def act_late(self, plan: tuple[Observed, Plan]) -> None:
        """... and carries it out much later, perhaps twice."""
        self.world.carry_out(*plan)

    @rule()
    def all_goes_well(self) -> None:
        """Everybody does what they should for a while, until a worker is at work."""
        for _ in range(4):
            self.world.step()
            for job in list(self.world.jobs.values()):
                if self._wants_pod(job):
                    self.world.give_pod(job)
            for name in self._pods(started=False):
                self.world.start_worker(name)

    # The cluster

    @precondition(lambda self: any(not self.world.pods_of(j) for j in self.world.jobs.values()))
    @rule(data=st.data())
    def a_job_gets_its_pod(self, data: st.DataObject) -> None:
        jobs = [j for j in self.world.jobs.values() if self._wants_pod(j)]
        if jobs:
            self.world.give_pod(data.draw(st.sampled_from(jobs)))

    @precondition(lambda self: self._pods(started=False))
    @rule(data=st.data())
    def a_worker_starts(self, data: st.DataObject) -> None:
        self.world.start_worker(data.draw(st.sampled_from(self._pods(started=False))))

    @precondition(lambda self: self._pods(started=True))
    @rule(data=st.data(), end=st.sampled_from(ENDS))
    def a_worker_ends(self, data: st.DataObject, end: KubePod) -> None:
        name = data.draw(st.sampled_from(self._pods(started=True)))
        if end is ENDS[0] and not self.world.complete_work():
            end = ENDS[7]  # something stands in the manifest's place: it cannot complete
        self.world.end_worker(name, end)

    @precondition(lambda self: self.world.workers)
    @rule()
    def a_worker_completes_and_dies_before_it_can_say_so(self) -> None:
        name = min(self.world.workers)
        self.world.complete_work()
        if name in self.world.pods:
            self.world.end_worker(name, ended_pod(137))
        else:
            self.world.workers.discard(name)

    @precondition(lambda self: self.world.pods)
    @rule(data=st.data())
    def a_pod_vanishes(self, data: st.DataObject) -> None:
        self.world.lose_pod(data.draw(st.sampled_from(sorted(self.world.pods))))

    @precondition(lambda self: self.world.jobs)
    @rule(data=st.data())
    def a_job_is_deleted_by_hand(self, data: st.DataObject) -> None:
        self.world.delete_job(data.draw(st.sampled_from(sorted(self.world.jobs))))

    @rule()
    def the_job_controller_looks(self) -> None:
        self.world.fail_jobs()

    @rule(away=st.booleans())
    def the_node(self, away: bool) -> None:
        self.world.lost_nodes = {"node-1": self.world.now} if away else {}

    # The rest of the world

    @rule(seconds=st.sampled_from([-5, 1, 10, 60, 600, 7200, 90000]))
    def time_passes_or_jumps(self, seconds: int) -> None:
        self.world.now += timedelta(seconds=seconds)

    @precondition(lambda self: self.meddled)
    @rule(away=st.booleans(), works=st.booleans(), may_start=st.booleans())
    def others(self, away: bool, works: bool, may_start: bool) -> None:
        self.world.away = away
        self.world.receiver_works = works
        self.world.may_start = may_start

    @precondition(lambda self: self.meddled)
    @rule(suspend=st.booleans())
    def suspend(self, suspend: bool) -> None:
        self.world.change_spec(suspend=suspend)

    @precondition(lambda self: self.meddled)
    @rule()
    def cancel(self) -> None:
        self.world.change_spec(canceled=True)

    # What always holds

    @invariant()
    def at_most_one_live_job(self) -> None:
        assert len(self.world.live_jobs) <= 1

    @invariant()
    def a_verdict_stays_and_has_an_outbox(self) -> None:
        verdict = self.world.verdict
        if self.given:
            assert verdict == self.given
        self.given = verdict
        if verdict:
            assert self.world.status.webhook
            assert self.world.status.finished_at

    @invariant()
    def one_final_event(self) -> None:
        assert len(set(self.world.sent)) <= 1

    @invariant()
    def nobody_completes_what_was_ended(self) -> None:
        if self.given and self.given[0] == "False" and not self.world.looked_in_vain:
            bucket = self.world.bucket
            assert bucket is None or bucket.status != "completed" or not self.world.created

    @invariant()
    def attempts_are_numbered_and_bounded(self) -> None:
        attempts = self.world.status.attempts
        assert [a.number for a in attempts] == list(range(1, len(attempts) + 1))
        assert all(a.finished_at for a in attempts[:-1])
        assert len(attempts) <= 20
        assert len(set(self.world.created)) <= len(attempts)

    def teardown(self) -> None:
        """Once the world behaves, every job comes to its end, is told of, and is cleaned up."""
        world = self.world
        world.away, world.receiver_works, world.may_start = False, True, True
        world.lost_nodes = {}
        world.change_spec(suspend=False)
        for _ in range(MANY):
            if world.gone:
                break
            self._behave()
            plan = world.step()
            if world.status.webhook:
                world.status.counted = True
            due = plan.requeue_at or world.now + timedelta(seconds=30)
            world.now = max(world.now + timedelta(seconds=1), due)
            self.a_verdict_stays_and_has_an_outbox()
            self.at_most_one_live_job()
            self.one_final_event()
        assert world.gone, world.status
        assert world.sent or (world.status.webhook and world.status.webhook.state == "GivenUp")
        assert not world.jobs

    def _behave(self) -> None:
        """Kubelet and Job controller do their work; workers fail, which takes longest."""
        world = self.world
        for job in list(world.jobs.values()):
            if self._wants_pod(job):
                world.give_pod(job)
        for name in self._pods(started=False):
            world.start_worker(name)
        for name in self._pods(started=True):
            world.end_worker(name, ended_pod(1))
        world.fail_jobs()

    def _wants_pod(self, job: KubeJob) -> bool:
        return not job.finished and not job.deleting and not self.world.pods_of(job)

    def _pods(self, *, started: bool) -> list[str]:
        pods = self.world.pods.values()
        return sorted(p.name for p in pods if not p.stopped and bool(p.started_at) == started)


TestLife = Life.TestCase
TestLife.settings = settings(
    max_examples=examples(100),
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)
