"""Every order of events that can be thought of: a state machine over the operator.

The operator is the real one but for kopf: resync, controller, `reconcile`, executor and delivery,
over fake ports. At every call of theirs it may be killed before or after it, get no answer, be
overtaken, or stand still while another operator takes over; what it reads may be behind. Around it
lost, late and repeated looks, watches that miss changes, clock jumps, every end of a pod, workers
cut off that go on, a storage and a receiver that come and go, and people who cancel, hold back,
delete and ask again. Acceptance 37 to 39, 44, 46, 46a, 46b, 51, 54 in all their orders.
"""

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from tests.support.examples import examples
from tests.support.faults import Call, Fault
from tests.support.operator_samples import failed_pod
from tests.support.operator_samples import settings as operator_settings
from tests.support.operator_world import (
    COMPLETED,
    COMPLETED_AND_TOLD,
    INPUT_KEY,
    WorkerEnd,
    World,
)

from splitjob.webhook import DeliveryOutcome


def failed(code: str, *, retryable: bool = False) -> WorkerEnd:
    """Return how a worker ends that says what is wrong."""
    said = failed_pod(code, retryable=retryable).terminated
    assert said
    return WorkerEnd(said.exit_code, said.message)


CANNOT_COMPLETE = failed("source_not_found")
ENDS = [
    COMPLETED,
    WorkerEnd(0),
    WorkerEnd(1),
    WorkerEnd(137),
    WorkerEnd(137, reason="OOMKilled"),
    WorkerEnd(137, disruption="PreemptionByScheduler"),
    WorkerEnd(143, disruption="EvictionByEvictionAPI"),
    CANNOT_COMPLETE,
    failed("source_unavailable", retryable=True),
    failed("upload_failed", retryable=True),
    failed("gpu_error", retryable=True),
]
DELIVERED = DeliveryOutcome(delivered=True, status=200)
ANSWERS = [
    DELIVERED,
    DeliveryOutcome(delivered=False, status=500, error="the receiver answered 500"),
    DeliveryOutcome(delivered=False, status=503, retry_after_seconds=90, error="later"),
    DeliveryOutcome(delivered=False, status=410, gone=True, error="no more"),
]
READS = [
    "splitjob",
    "jobs",
    "pods",
    "job",
    "secret",
    "events",
    "read_object",
    "list_objects",
    "file_exists",
]
WRITES = [
    "write_status",
    "create_job",
    "create_network_policy",
    "create_event",
    "own_secret",
    "delete_job",
    "delete_pod",
    "delete_splitjob",
    "put_if_absent",
    "delete_file",
    "put_if_unchanged",
    "delete_objects",
    "send",
]
CALLS = st.tuples(st.sampled_from([*WRITES, *READS]), st.sampled_from([0, 0, 0, 1]))
FAULTS = st.dictionaries(CALLS, st.sampled_from(Fault), max_size=4)
SETTINGS = {
    kept: operator_settings(
        keep_finished_jobs_seconds=kept, worker_network_policy={"policyTypes": ["Ingress"]}
    )
    for kept in (0, 300)
}
MANY = 400


class Life(RuleBasedStateMachine):
    """The life of a name, however it goes."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(SETTINGS[0])
        self.meddled = False

    @initialize(
        meddled=st.booleans(),
        started=st.booleans(),
        kept=st.sampled_from([0, 0, 300]),
        foreign=st.booleans(),
        faults=FAULTS,
    )
    def begin(
        self,
        meddled: bool,
        started: bool,
        kept: int,
        foreign: bool,
        faults: dict[Call, Fault],
    ) -> None:
        """Some lives are canceled, suspended or held up, and some begin with a worker at work.

        Some installations keep the Jobs of attempts that have ended for a while, and some names
        were used before.
        """
        self.meddled = meddled
        self.world = World(SETTINGS[kept])
        self.world.submit()
        if foreign:
            self.world.leave_foreign_manifest()
        if started:
            self.all_do_their_work(faults)

    # The operator, with its accidents

    @rule(behind=st.sampled_from([0, 0, 0, 1, 2, 4]), lists=st.booleans(), faults=FAULTS)
    def the_operator_looks(self, behind: int, lists: bool, faults: dict[Call, Fault]) -> None:
        """It looks; accidents lie in wait until it comes to those calls, now or later."""
        self.world.faults |= faults
        self.world.look(changes_behind=behind, lists=lists)

    @rule()
    def the_watches_begin_anew(self) -> None:
        self.world.begin_watches_anew()

    @precondition(lambda self: self.world.stopped)
    @rule(data=st.data())
    def a_stopped_operator_goes_on(self, data: st.DataObject) -> None:
        self.world.go_on(data.draw(st.sampled_from(range(len(self.world.stopped)))))

    @precondition(lambda self: self.world.operator)
    @rule()
    def the_operator_is_killed(self) -> None:
        self.world.kill_operator()

    @rule(faults=FAULTS)
    def all_do_their_work(self, faults: dict[Call, Fault]) -> None:
        """Everybody does what they should for a while, until a worker is at work."""
        self.world.faults |= faults
        for _ in range(4):
            self.world.look()
            for job in self.world.jobs_without_pod():
                self.world.give_pod(job)
            for name in self.world.pods("Pending"):
                self.world.start_worker(name)

    # The cluster

    @precondition(lambda self: self.world.jobs_without_pod())
    @rule(data=st.data())
    def a_job_gets_its_pod(self, data: st.DataObject) -> None:
        jobs = self.world.jobs_without_pod()
        self.world.give_pod(jobs[data.draw(st.sampled_from(range(len(jobs))))])

    @precondition(lambda self: self.world.pods("Pending"))
    @rule(data=st.data())
    def a_worker_starts(self, data: st.DataObject) -> None:
        self.world.start_worker(data.draw(st.sampled_from(self.world.pods("Pending"))))

    @precondition(lambda self: self.world.pods("Running"))
    @rule(data=st.data(), percent=st.sampled_from([3, 50, 99]))
    def a_worker_goes_on(self, data: st.DataObject, percent: int) -> None:
        self.world.progress(data.draw(st.sampled_from(self.world.pods("Running"))), percent)

    @precondition(lambda self: self.world.pods("Running"))
    @rule(data=st.data(), end=st.sampled_from(ENDS), tells=st.booleans())
    def a_worker_ends(self, data: st.DataObject, end: WorkerEnd, tells: bool) -> None:
        name = data.draw(st.sampled_from(self.world.pods("Running")))
        if end is COMPLETED:
            if not self.world.complete_work(name):
                end = CANNOT_COMPLETE  # something stands in the manifest's place
            elif tells and self.world.tell_completed(name):
                end = COMPLETED_AND_TOLD
        self.world.end_worker(name, end)

    @precondition(lambda self: self.world.workers)
    @rule(tells=st.booleans())
    def a_worker_completes_and_dies_before_it_can_say_so(self, tells: bool) -> None:
        name = min(self.world.workers)
        if self.world.complete_work(name) and tells:
            self.world.tell_completed(name)
        if name in self.world.pods("Running"):
            self.world.end_worker(name, WorkerEnd(137))
        else:
            del self.world.workers[name]

    @precondition(lambda self: self.world.server.all("Pod"))
    @rule(data=st.data())
    def a_pod_vanishes(self, data: st.DataObject) -> None:
        pods = [pod["metadata"]["name"] for pod in self.world.server.all("Pod")]
        self.world.lose_pod(data.draw(st.sampled_from(sorted(pods))))

    @precondition(lambda self: self.world.server.all("Job"))
    @rule(data=st.data())
    def a_job_is_deleted_by_hand(self, data: st.DataObject) -> None:
        jobs = [job["metadata"] for job in self.world.server.all("Job")]
        job = jobs[data.draw(st.sampled_from(range(len(jobs))))]
        self.world.server.delete("Job", job["name"], job["uid"], foreground=True)

    @rule()
    def the_job_controller_looks(self) -> None:
        self.world.judge_jobs()

    @rule()
    def the_garbage_collector_looks(self) -> None:
        self.world.server.collect()

    @rule(away=st.booleans())
    def the_node(self, away: bool) -> None:
        nodes = self.world.around.lost_nodes
        nodes.clear()
        if away:
            nodes["node-1"] = self.world.around.now

    # The rest of the world

    @rule(seconds=st.sampled_from([-5, 1, 10, 60, 600, 7200, 90000]))
    def time_passes_or_jumps(self, seconds: int) -> None:
        self.world.pass_time(seconds)

    @precondition(lambda self: self.meddled)
    @rule(away=st.booleans(), may_start=st.booleans())
    def others(self, away: bool, may_start: bool) -> None:
        self.world.bucket.away = away
        self.world.around.may_start = may_start

    @precondition(lambda self: self.meddled)
    @rule(answer=st.sampled_from(ANSWERS), hears=st.booleans(), hangs=st.booleans())
    def the_receiver(self, answer: DeliveryOutcome, hears: bool, hangs: bool) -> None:
        lost = DeliveryOutcome(delivered=False, error="the receiver could not be reached")
        self.world.receiver.answer = answer if hears else lost
        self.world.receiver.hears, self.world.receiver.hangs = hears, hangs

    @precondition(lambda self: self.meddled)
    @rule(suspend=st.booleans())
    def suspend(self, suspend: bool) -> None:
        self.world.change_spec(suspend=suspend)

    @precondition(lambda self: self.meddled)
    @rule()
    def cancel(self) -> None:
        self.world.change_spec(canceled=True)

    @precondition(lambda self: self.meddled and self.world.status.get("finishedAt"))
    @rule()
    def ask_for_a_redelivery(self) -> None:
        splitjob = self.world.splitjob
        assert splitjob
        self.world.change_spec(redeliveries=splitjob["spec"].get("redeliveries", 0) + 1)

    @precondition(lambda self: self.meddled and self.world.status.get("finishedAt"))
    @rule()
    def ask_to_erase(self) -> None:
        self.world.change_spec(erase=True)

    @precondition(lambda self: self.world.status.get("finishedAt"))
    @rule()
    def the_totals_include_it(self) -> None:
        self.world.count()

    @precondition(lambda self: self.meddled and self.world.splitjob)
    @rule(foreground=st.booleans())
    def delete(self, foreground: bool) -> None:
        self.world.forget(foreground=foreground)

    @precondition(lambda self: not self.world.splitjob)
    @rule()
    def ask_again(self) -> None:
        self.world.submit()

    # What always holds, besides what `tests.support.operator_contract` sees at every write

    @invariant()
    def attempts_never_run_at_once(self) -> None:
        at_once = self.world.attempts_at_once()
        assert all(len(jobs) <= 1 for jobs in at_once.values()), at_once

    @invariant()
    def what_a_job_came_to_stands_in_the_bucket(self) -> None:
        """Nobody who comes late writes over it, or deletes it."""
        self.world.check_stored()

    def teardown(self) -> None:
        """Once the world behaves, every job comes to its end, is told of, and is cleaned up."""
        try:
            if self.world.accepted:
                self._faults_stop()
                self._all_comes_to_its_end()
        finally:
            self.world.close()

    def _faults_stop(self) -> None:
        world = self.world
        world.faults.clear()
        while world.stopped:
            world.go_on(0)
        world.bucket.away = False
        world.around.may_start = True
        world.around.lost_nodes.clear()
        world.receiver.answer, world.receiver.hears, world.receiver.hangs = DELIVERED, True, False
        world.change_spec(suspend=False)

    def _all_comes_to_its_end(self) -> None:
        world = self.world
        last = world.status
        for _ in range(MANY):
            self._behave()
            world.catch_up()
            world.count()
            self.attempts_never_run_at_once()
            if not world.server.objects:
                break
            last = world.status or last
            world.pass_time(world.seconds_until_due())
        assert not world.server.objects, world.server.objects
        kept = INPUT_KEY in world.bucket.objects
        assert not kept or world.accepted[-1] in world.forgotten, "an input is left behind"
        told = {uid for _, uid in world.record.sent}
        given_up = last.get("webhook", {}).get("state") == "GivenUp"
        assert world.accepted[-1] in told | world.forgotten or given_up, last

    def _behave(self) -> None:
        """Everybody does their work; workers fail, which takes longest."""
        world = self.world
        for job in world.jobs_without_pod():
            world.give_pod(job)
        for name in world.pods("Pending"):
            world.start_worker(name)
        for name in world.pods("Running"):
            world.end_worker(name, WorkerEnd(1))
        world.judge_jobs()
        world.server.collect()


TestLife = Life.TestCase
TestLife.settings = settings(
    max_examples=examples(100),
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)
