"""What the operator promises, checked at every write and at every event that reaches a receiver.

A status never goes back; a verdict is true, and stands in the bucket first; no event comes before
the status that says it; one event a job; no Job but that of the attempt under way.
"""

from collections.abc import Callable, Container, Mapping
from datetime import timedelta
from typing import Any

from tests.support.fake_api_server import FakeApiServer, is_running
from tests.support.faults import Violation

from splitjob import workload
from splitjob.resource import LABEL_SPLITJOB
from splitjob_operator.core.lookups import ManifestState
from splitjob_operator.core.observed import SplitJob

Json = Mapping[str, Any]
OF_ATTEMPT = ("jobName", "jobUid", "startedAt")  # what does not change, once it is said


def must(holds: object, what: str, *about: object) -> None:
    """See that something holds, in a way that no handler of the operator can hide."""
    if not holds:
        raise Violation(what, *about)


class Record:
    """What has happened, checked as it happens.

    Args:
        server: the truth.
        stored: what stands in the manifest's place, as a SplitJob is to read it.
        storage_patience: seconds after which a verdict is given without the bucket.

    Attributes:
        announced: the final events that a status has spoken of, by id: the SplitJob's uid, and
            which event.
        took: attempts and seconds, as each of their statuses says, by the same id.
        sent: those that a receiver got: id, and whose.
        late: Jobs that were created by a process that had stood still since it wrote the status.
        without_bucket: SplitJobs whose verdict had to be given while the bucket was away.
    """

    def __init__(
        self,
        server: FakeApiServer,
        stored: Callable[[SplitJob], ManifestState],
        storage_patience: int,
    ) -> None:
        self._server = server
        self._stored = stored
        self._patience = timedelta(seconds=storage_patience)
        self.announced: dict[str, tuple[str, str]] = {}
        self.took: dict[str, tuple[int, float]] = {}
        self.sent: list[tuple[str, str]] = []
        self.late: set[str] = set()
        self.without_bucket: set[str] = set()
        self.created: list[str] = []

    # Statuses

    def status_written(self, before: Json, after: Json) -> None:
        """A process has written a status."""
        was, now = before.get("status") or {}, after["status"]
        check_forward(was, now, self.late)
        if _verdict(now) and not _verdict(was):
            self._verdict_given(SplitJob.of(after), now)

    def _verdict_given(self, splitjob: SplitJob, status: Json) -> None:
        must(status.get("finishedAt"), "a verdict without a time")
        must(status.get("webhook"), "a verdict without an outbox")
        hook = status["webhook"]
        self.announced[hook["eventId"]] = (splitjob.uid, hook["event"])
        self.took[hook["eventId"]] = _taken(status)
        must(not self._running(splitjob), "a verdict while a worker is seen to run", status)
        if hook["event"] == "completed":
            stored = self._stored(splitjob)
            must(stored is ManifestState.COMPLETED, "completed without a manifest", stored)
        elif splitjob.status.attempts:
            self._ended_without_stems(splitjob)

    def _ended_without_stems(self, splitjob: SplitJob) -> None:
        if self._stored(splitjob) is ManifestState.OUR_TOMBSTONE:
            return
        last, ended = splitjob.status.attempts[-1], splitjob.status.finished_at
        patient = last.stopped_at and ended and last.stopped_at + self._patience <= ended
        must(patient, "a verdict without looking at the bucket", splitjob.status)
        self.without_bucket.add(splitjob.uid)

    def _running(self, splitjob: SplitJob) -> list[str]:
        """Return pods of a SplitJob that anybody can see run, but for those of late Jobs."""
        owners = {
            job["metadata"]["uid"] for job in self._server.children("Job", splitjob.uid)
        } - self.late
        pods = (pod for owner in owners for pod in self._server.children("Pod", owner))
        return [pod["metadata"]["name"] for pod in pods if is_running(pod)]

    # Jobs

    def job_created(self, job: Json, *, late: bool) -> None:
        """A process has created a Job."""
        metadata = job["metadata"]
        self.created.append(metadata["name"])
        if late:
            self.late.add(metadata["uid"])
            return
        splitjob = self._server.find("SplitJob", metadata["labels"][LABEL_SPLITJOB])
        status = (splitjob or {}).get("status") or {}
        must(not _verdict(status), "a Job for a finished SplitJob", status)
        attempts = status.get("attempts") or [{}]
        must(attempts[-1].get("jobName") == metadata["name"], "a Job not in the status", status)
        must("finishedAt" not in attempts[-1], "a Job of an attempt that has ended", status)

    # Events

    def operator_told(self, event_id: str, body: Json) -> None:
        """A receiver got an event of the operator's."""
        must(event_id in self.announced, "an event before the status that says it", event_id)
        uid, event = self.announced[event_id]
        must(body["event"] == body["status"] == event, "an event that says something else", body)
        took = body["attempts"], body["gpuSeconds"]
        must(took == self.took[event_id], "an event that says another usage", body)
        completed = event == "completed"
        must(bool(body["stems"]) == completed, "an event whose stems are not those", body)
        must((body["errorCode"] is None) == completed, "an event whose error is not that", body)
        self._told(event_id, uid)

    def worker_told(self, splitjob_uid: str, identity: str) -> None:
        """A receiver got the worker's own event, once the manifest was there."""
        self._told(workload.event_id(identity, "completed"), splitjob_uid)

    def _told(self, event_id: str, uid: str) -> None:
        self.sent.append((event_id, uid))
        ids = {sent for sent, whose in self.sent if whose == uid}
        must(len(ids) == 1 or uid in self.without_bucket, "two final events of one job", ids)


def check_forward(was: Json, now: Json, late: Container[str]) -> None:
    """See that a status takes nothing back that one before has said.

    Args:
        was, now: the status before and after a write.
        late: uids of Jobs that came late: the name of one that was deleted meanwhile is theirs.
    """
    if ended := _verdict(was):
        must(_verdict(now) == ended, "another verdict", ended, now)
        for field in ("finishedAt", "result", "failure", "usage"):
            must(was.get(field) == now.get(field), f"another {field} after the verdict", now)
    for field in ("startedAt", "counted"):
        must(not was.get(field) or was[field] == now.get(field), f"{field} was taken back", now)
    must(was.get("observedGeneration", 0) <= now["observedGeneration"], "an older generation", now)
    _check_attempts(was.get("attempts") or [], now.get("attempts") or [], late)
    _check_progress(was, now)
    _check_outbox(was.get("webhook"), now.get("webhook"))


def _check_attempts(was: list[Json], now: list[Json], late: Container[str]) -> None:
    numbers = [attempt["number"] for attempt in now]
    must(numbers == list(range(1, len(now) + 1)), "attempts are not numbered", now)
    must(len(now) <= 20, "attempts without end", now)
    must(len(was) <= len(now) <= len(was) + 1, "attempts are gone, or several new", was, now)
    must(all("finishedAt" in a for a in now[:-1]), "an attempt beside another", now)
    for before, after in zip(was, now, strict=False):
        ended = "finishedAt" in before
        must(not ended or _settled(before) == _settled(after), "an ended attempt changed", was, now)
        for field in ("jobName",) if after.get("jobUid") in late else OF_ATTEMPT:
            same = before.get(field) in {None, after.get(field)}
            must(same, f"{field} of an attempt changed", was, now)


def _settled(attempt: Json) -> Json:
    """Return what of an ended attempt stands; `stoppedAt` is set anew when the bucket is away."""
    return {field: value for field, value in attempt.items() if field != "stoppedAt"}


def _taken(status: Json) -> tuple[int, float]:
    """Return what a job took that has just ended: no attempt of its own is left out."""
    must(status.get("usage"), "a verdict that does not say what the job took", status)
    attempts, seconds = status["usage"]["attempts"], float(status["usage"]["gpuSeconds"])
    must(attempts >= len(status.get("attempts") or []), "attempts were not counted", status)
    must(seconds >= 0, "a job took less than no time", status)
    return attempts, seconds


def _check_progress(was: Json, now: Json) -> None:
    before, after = was.get("progress"), now.get("progress")
    if before and after:
        must(before["percent"] <= after["percent"], "progress goes back", before, after)


def _check_outbox(was: Json | None, now: Json | None) -> None:
    if was is None:
        return
    must(now and was["eventId"] == now["eventId"], "another final event", was, now)
    if now is None or was["redeliveries"] < now["redeliveries"]:
        return
    must(was["redeliveries"] == now["redeliveries"], "a redelivery was taken back", was, now)
    must(was["attempts"] <= now["attempts"], "delivery attempts were taken back", was, now)
    settled = was["state"] in {"Delivered", "NotWanted", "GivenUp"}
    must(not settled or was == now, "a settled outbox changed", was, now)


def _verdict(status: Json) -> tuple[str, str] | None:
    for condition in status.get("conditions", []):
        if condition["type"] == "Succeeded" and condition["status"] != "Unknown":
            return condition["status"], condition["reason"]
    return None
