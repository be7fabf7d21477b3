"""A world for the operator to be tried in: one name, its SplitJobs, Jobs, pods, bucket, receiver.

It plays all who act beside the operator: Job controller, kubelet, garbage collector, workers that
go on although nobody hears them, and people. What the operator does is done by the operator itself
(`operator_process`); the world only lets its processes run, stand still and die.
"""

import base64
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from tests.support.fake_api_server import FakeApiServer, is_deleting, is_finished
from tests.support.fake_ports import Bucket, FakeBucketService, FakeKubernetes, Receiver
from tests.support.faults import Call, Fault, asserted
from tests.support.operator_contract import Record, must
from tests.support.operator_process import OperatorProcess, Surroundings
from tests.support.operator_samples import NAME, NOW, completed_report, raw_splitjob, stamp

from splitjob import workload
from splitjob.intent import intent_of
from splitjob.resource import LABEL_ATTEMPT, LABEL_SPLITJOB, SECRET_TYPE
from splitjob.result import Manifest, ProgressLine, storage_prefix
from splitjob.spec import Request
from splitjob_operator.core.lookups import ManifestState
from splitjob_operator.core.manifest import classify, key_of
from splitjob_operator.core.observed import SplitJob
from splitjob_operator.core.settings import Settings

Json = dict[str, Any]
PREFIX = storage_prefix("", "v1", NAME)
KEY = key_of(PREFIX)
NODE = "node-1"
INPUT_KEY = f"_inputs/{'0' * 32}/song.wav"
ASKED: Json = {
    "webhook": {"url": "https://hooks.example.com/x", "secretKey": "webhook"},
    "source": {"url": f"s3://stems/{INPUT_KEY}"},
}
REQUEST = Request.model_validate(raw_splitjob(**ASKED)["spec"]["request"])


@dataclass(frozen=True)
class WorkerEnd:
    """How the process of a worker ends, as its kubelet tells it."""

    exit_code: int
    message: str = ""
    reason: str = ""
    disruption: str = ""


COMPLETED = WorkerEnd(0, completed_report().encode().decode())
COMPLETED_AND_TOLD = WorkerEnd(0, completed_report(delivered=True).encode().decode())


class World:
    """Everything outside the operator, and its processes.

    Args:
        settings: the installation's.

    Attributes:
        workers: the uid of whose SplitJob each worker works for, by pod; heard or not.
        accepted: the uids of the SplitJobs so far.
        submission_of: the submission id of each.
        forgotten: those that people have deleted: nothing is promised about them.
        faults: accidents that wait for the operator.
        operator: the process that works; None: it has died.
        stopped: processes that stand still before a call, or have just gone on.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.around = Surroundings(NOW)
        self.server = FakeApiServer(self.around.clock)
        self.bucket = Bucket()
        self.bucket.on_delete = self._object_deleted
        self.record = Record(self.server, self.stored, settings.storage_patience_seconds)
        self.receiver = Receiver(self.record)
        self.workers: dict[str, str] = {}
        self.had_pod: set[str] = set()
        self._works_for: dict[str, str] = {}
        self._attempt_of: dict[str, int] = {}
        self.accepted: list[str] = []
        self.submission_of: dict[str, str] = {}
        self.forgotten: set[str] = set()
        self.faults: dict[Call, Fault] = {}
        self.operator: OperatorProcess | None = None
        self.stopped: list[OperatorProcess] = []

    # The operator

    def look(self, changes_behind: int = 0, *, lists: bool = False) -> None:
        """Let the operator look at the SplitJob; where it has died, a new process does.

        Args:
            changes_behind: what it reads is so many changes old.
            lists: it lists everything before.
        """
        operator = self._running_operator()
        operator.port.behind = changes_behind
        lives = operator.look(NAME, self.faults, lists=lists)
        operator.port.behind = 0
        self._after(operator, lives=lives)

    def catch_up(self) -> None:
        """Let the operator list everything and do what is due, nothing else."""
        operator = self._running_operator()
        self._after(operator, lives=operator.catch_up())

    def begin_watches_anew(self) -> None:
        """Have the operator's watches begin anew, without what has changed until now."""
        if self.operator:
            self.operator.begin_watches_anew()

    def go_on(self, number: int) -> None:
        """Let a process go on that stands still."""
        operator = self.stopped.pop(number)
        if operator.go_on():
            if operator.stopped:
                self.stopped.append(operator)
            else:
                operator.kill()  # it learns that it is not the leader any more

    def seconds_until_due(self) -> float:
        """Return how long the operator waits; where it waits for nothing, until the next resync."""
        due = self._running_operator().queue.next_due
        wait = (due - self.around.now).total_seconds() if due else self.settings.resync_seconds
        return max(wait, 1.0)

    def kill_operator(self) -> None:
        """SIGKILL: what it knew alone is lost."""
        if self.operator:
            self.operator.kill()
            self.operator = None

    def close(self) -> None:
        """End all processes."""
        self.kill_operator()
        for operator in self.stopped:
            operator.kill()
        self.stopped.clear()

    def _running_operator(self) -> OperatorProcess:
        if self.operator is None:
            self.operator = OperatorProcess(
                self.settings,
                self.around,
                lambda gate: FakeKubernetes(self.server, gate, self.record),
                lambda gate: FakeBucketService(self.bucket, gate),
                self.receiver,
                lambda: self.server.touch("SplitJob", NAME),
            )
        return self.operator

    def _after(self, operator: OperatorProcess, *, lives: bool) -> None:
        if not lives:
            self.operator = None
        elif operator.stopped:
            self.stopped.append(operator)
            self.operator = None

    # People, and the API

    @property
    def splitjob(self) -> Json | None:
        return self.server.find("SplitJob", NAME)

    @property
    def status(self) -> Json:
        found: Json = (self.splitjob or {}).get("status") or {}
        return found

    def submit(self) -> None:
        """Write Secret and SplitJob, as the API does, once the caller has sent the song."""
        secret = f"urls-{len(self.accepted)}"
        url = base64.b64encode(b"https://hooks.example.com/x?key=1").decode()
        self.server.create(
            "Secret", {"metadata": {"name": secret}, "type": SECRET_TYPE, "data": {"webhook": url}}
        )
        submission_id = f"{len(self.accepted):032x}"
        raw = raw_splitjob(secretName=secret, submissionId=submission_id, **ASKED)
        self.bucket.objects[INPUT_KEY] = b"a song"
        metadata = {"name": NAME, "namespace": "ns"}
        made = self.server.create("SplitJob", {**raw, "metadata": metadata})
        self.accepted.append(made["metadata"]["uid"])
        self.submission_of[made["metadata"]["uid"]] = submission_id

    def change_spec(self, **changed: Any) -> None:
        if self.splitjob:
            spec = {**self.splitjob["spec"], **changed}
            self.server.update("SplitJob", NAME, spec=spec)
            generation = self.splitjob["metadata"]["generation"] + 1
            self.server.update_metadata("SplitJob", NAME, generation=generation)

    def forget(self, *, foreground: bool) -> None:
        """Somebody deletes the SplitJob."""
        if self.splitjob:
            uid = self.splitjob["metadata"]["uid"]
            self.forgotten.add(uid)
            self.server.delete("SplitJob", NAME, uid, foreground=foreground)

    def count(self) -> None:
        """The totals include the job."""
        if self.status.get("finishedAt"):
            self.server.update("SplitJob", NAME, status={**self.status, "counted": True})

    # The Job controller

    def jobs_without_pod(self) -> list[Json]:
        return [job for job in self.server.all("Job") if self._wants_pod(job)]

    def _wants_pod(self, job: Json) -> bool:
        had_one = job["metadata"]["uid"] in self.had_pod
        return not (had_one or is_finished(job) or is_deleting(job))

    def give_pod(self, job: Json) -> None:
        """Make the one pod of a Job."""
        metadata = job["metadata"]
        self.had_pod.add(metadata["uid"])
        name = f"{metadata['name']}-{len(self.had_pod)}"
        self._works_for[name] = metadata["ownerReferences"][0]["uid"]
        owner = {"kind": "Job", "name": metadata["name"], "uid": metadata["uid"]}
        self._attempt_of[name] = int(metadata["labels"][LABEL_ATTEMPT])
        labels = {key: metadata["labels"][key] for key in (LABEL_SPLITJOB, LABEL_ATTEMPT)}
        scheduled = {"type": "PodScheduled", "status": "True", "lastTransitionTime": self._stamp()}
        self.server.create(
            "Pod",
            {
                "metadata": {
                    "name": name,
                    "labels": labels,
                    "ownerReferences": [{**owner, "controller": True}],
                },
                "spec": {"nodeName": NODE},
                "status": {"phase": "Pending", "conditions": [scheduled]},
            },
        )

    def judge_jobs(self) -> None:
        """Finish the Jobs whose pod has ended, or vanished."""
        for job in self.server.all("Job"):
            uid = job["metadata"]["uid"]
            pods = self.server.children("Pod", uid)
            if is_finished(job) or uid not in self.had_pod or not all(map(is_over, pods)):
                continue
            good = bool(pods) and all(pod["status"]["phase"] == "Succeeded" for pod in pods)
            reason = "" if good else "PodFailurePolicy" if pods else "BackoffLimitExceeded"
            verdict = {"type": "Complete" if good else "Failed", "status": "True", "reason": reason}
            self.server.update("Job", job["metadata"]["name"], status={"conditions": [verdict]})

    # Kubelet and workers

    def pods(self, phase: str) -> list[str]:
        return sorted(
            pod["metadata"]["name"]
            for pod in self.server.all("Pod")
            if pod["status"]["phase"] == phase
        )

    def start_worker(self, name: str) -> None:
        pod = self.server.get("Pod", name)
        if is_deleting(pod):
            return
        running = {"running": {"startedAt": self._stamp()}}
        self._set_container(pod, "Running", running)
        self.workers[name] = self._works_for[name]

    def end_worker(self, name: str, end: WorkerEnd) -> None:
        """The process of a pod ends, and its kubelet says how."""
        del self.workers[name]
        pod = self.server.get("Pod", name)
        started = pod["status"]["containerStatuses"][0]["state"]["running"]["startedAt"]
        terminated = {
            "exitCode": end.exit_code,
            "reason": end.reason or ("Error" if end.exit_code else "Completed"),
            "message": end.message,
            "startedAt": started,
            "finishedAt": self._stamp(),
        }
        phase = "Failed" if end.exit_code else "Succeeded"
        self._set_container(pod, phase, {"terminated": terminated}, end.disruption)

    def complete_work(self, name: str) -> bool:
        """A worker has its stems in the bucket and writes the manifest, unless one stands there.

        A reservation for its job does not count as one.

        Returns:
            Whether it is this worker's manifest that stands there now.
        """
        uid = self.workers[name]
        manifest = Manifest(
            job_id=NAME,
            job_uid=uid,
            submission_id=self.submission_of[uid],
            version_id="v1",
            attempt=self._attempt_of[name],
            gpu_seconds="4",
            intent=intent_of(REQUEST),
            status="completed",
            result=completed_report().result(REQUEST, "stems", PREFIX),
        )
        body = manifest.model_dump_json(by_alias=True, exclude_none=True).encode()
        if self.bucket.put_if_absent(KEY, body):
            return True
        stored = self.bucket.read(KEY)
        if stored is None:
            return False
        found = Manifest.model_validate_json(stored.content)
        reserved = found.status == "reserved" and found.is_of(uid, self.submission_of[uid])
        return reserved and self.bucket.put_if_unchanged(KEY, body, stored.etag)

    def tell_completed(self, name: str) -> bool:
        """A worker tells the receiver; return whether it was heard, and answered so."""
        if self.receiver.hears:
            with asserted():
                uid = self.workers[name]
                submission_id = self.submission_of[uid]
                self.record.worker_told(uid, workload.identity_of(NAME, uid, submission_id))
        return self.receiver.hears and self.receiver.answer.delivered

    def lose_pod(self, name: str) -> None:
        """A pod object vanishes; its process may run on, unheard."""
        self.server.delete("Pod", name, self.server.get("Pod", name)["metadata"]["uid"], force=True)

    def progress(self, name: str, percent: int) -> None:
        before = self.around.progress.get(name)
        percent = max(percent, before.percent if before else 0)
        self.around.progress[name] = ProgressLine(stage="separate", percent=percent)

    def _set_container(self, pod: Json, phase: str, state: Json, disruption: str = "") -> None:
        conditions = [c for c in pod["status"]["conditions"] if c["type"] == "PodScheduled"]
        if disruption:
            target = {"type": "DisruptionTarget", "status": "True", "reason": disruption}
            conditions.append(target)
        status = {
            "phase": phase,
            "conditions": conditions,
            "containerStatuses": [{"name": workload.CONTAINER, "state": state}],
        }
        self.server.update("Pod", pod["metadata"]["name"], status=status)

    # The bucket

    def _object_deleted(self, key: str) -> None:
        ended = self.record.announced or self.forgotten
        must(key != INPUT_KEY or ended, "an input is deleted before its job has ended")

    def stored(self, splitjob: SplitJob) -> ManifestState:
        """Return what stands in the manifest's place, as a SplitJob is to read it."""
        body = self.bucket.objects.get(KEY)
        if body is None or splitjob.spec is None:
            return ManifestState.ABSENT
        manifest = Manifest.model_validate_json(body)
        return classify(manifest, splitjob.uid, splitjob.spec.request).state

    def check_stored(self) -> None:
        """See that the bucket still says what the verdict was; where it was away, it may not."""
        splitjob = SplitJob.of(self.splitjob) if self.splitjob else None
        if splitjob is None or not splitjob.status.attempts or splitjob.status.finished_at is None:
            return
        expected = {ManifestState.OUR_TOMBSTONE}
        if splitjob.uid in self.record.without_bucket:
            expected = set(ManifestState)
        elif splitjob.status.result:
            erasing = splitjob.spec and splitjob.spec.erase
            expected = {ManifestState.COMPLETED} | (expected if erasing else set())
        stored = self.stored(splitjob)
        assert stored in expected, (stored, splitjob.status)

    def leave_foreign_manifest(self) -> None:
        """A former job of the same name, with another request, has left its manifest."""
        manifest = Manifest(job_id=NAME, job_uid="other", version_id="v1", status="failed")
        self.bucket.objects[KEY] = manifest.model_dump_json(by_alias=True).encode()

    # What the tests ask

    def attempts_at_once(self) -> dict[str, set[str]]:
        """Return the Jobs of each SplitJob that have, or may yet get, a pod that runs."""
        found: dict[str, set[str]] = {uid: set() for uid in self.accepted}
        for job in self.server.all("Job"):
            uid = job["metadata"]["uid"]
            pods = [pod for pod in self.server.children("Pod", uid) if not is_over(pod)]
            if (
                uid not in self.record.late
                and not is_finished(job)
                and (pods or self._wants_pod(job))
            ):
                found[job["metadata"]["ownerReferences"][0]["uid"]].add(uid)
        for name, splitjob in self.workers.items():
            pod = self.server.find("Pod", name)
            uid = pod["metadata"]["ownerReferences"][0]["uid"] if pod else None
            if uid and uid not in self.record.late:
                found[splitjob].add(uid)
        return found

    def pass_time(self, seconds: float) -> None:
        self.around.now += timedelta(seconds=seconds)

    def _stamp(self) -> str:
        return stamp(self.around.now)


def is_over(pod: Json) -> bool:
    """Whether the container of a pod can do nothing any more."""
    return pod["status"]["phase"] in {"Succeeded", "Failed"}
