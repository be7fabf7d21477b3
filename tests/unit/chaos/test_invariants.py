"""Each invariant of a storm: it holds where all is well, and says what is wrong where it is not."""

import copy
import json
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from chaos.aftermath import Aftermath
from chaos.explanations import explains
from chaos.invariants import violations
from chaos.load import Song
from chaos.plan import PlannedSong, Source
from chaos.receiver import WELL, Heard
from chaos.storm import Report, short
from chaos.timeline import Timeline
from splitjob.signing import Signer
from splitjob_client import QueueStatus
from splitjob_local.demo.receiver import Delivery

TOKEN = "a-token-of-a-storm"
DONE, LOST, SENT = "split-done", "split-lost", "split-sent"
STEM = "v1/split-done/vocals.wav"
SUM = "sha256:" + "ab" * 32
Change = Callable[["Draft"], object]


class Draft:
    """What there is after a storm in which nothing went wrong, to be changed by a test."""

    def __init__(self) -> None:
        self.songs = {name: song(number) for number, name in enumerate((DONE, LOST, SENT), 1)}
        self.faults = {"worker killed": 1}
        self.splitjobs: dict[str, Any] = {
            DONE: splitjob("v1", "Completed"),
            LOST: splitjob("v2", "Failed", code="worker_lost"),
            SENT: splitjob("v3", "Completed", uploads={"vocals": {}, "manifest": {}}),
        }
        self.heard = {
            DONE: [heard(DONE, "completed")],
            LOST: [heard(LOST, "failed", "worker_lost"), heard(LOST, "failed", "worker_lost")],
            SENT: [heard(SENT, "completed")],
        }
        sent = ("uploads/v3/vocals", "uploads/v3/manifest")
        places = ("v1/split-done/manifest.json", "v2/split-lost/manifest.json")
        self.keys = dict.fromkeys((STEM, *places, *sent), 10)
        stems = [{"url": f"s3://stems/{STEM}", "checksum": SUM}]
        self.manifests: dict[str, Any] = {
            places[0]: {"status": "completed", "result": {"stems": stems}},
            places[1]: {"status": "failed"},
        }
        self.checksums = {STEM: SUM}
        self.totals = (2, 1)
        self.left: list[tuple[str, str]] = []
        self.broken: list[str] = []

    def aftermath(self) -> Aftermath:
        completed, failed = self.totals
        totals = QueueStatus(
            queue_depth=0,
            active_workers=0,
            completed_jobs=completed,
            failed_jobs=failed,
            canceled_jobs=0,
            oldest_queued_seconds=0,
            estimated_drain_seconds=0,
            observed_at=datetime.now(UTC),
        )
        given = {name: value for name, value in vars(self).items() if name != "totals"}
        return Aftermath(**given, token=TOKEN, totals=totals)


def song(number: int, source: Source = "song") -> Song:
    return Song(PlannedSong(1.0, number, source, False, "left", 0, 0, 0), {})


def splitjob(version: str, phase: str, *, code: str = "", **request: object) -> dict[str, Any]:
    event = phase.lower()
    outbox = {"state": "Delivered", "event": event, "eventId": f"{event}-{version}"}
    status: dict[str, Any] = {"phase": phase, "counted": True, "webhook": outbox}
    if code:
        status["failure"] = {"code": code}
    return {"spec": {"request": {"versionId": version, **request}}, "status": status}


def heard(name: str, status: str, code: str | None = None, **said: object) -> Heard:
    version = {DONE: "v1", LOST: "v2", SENT: "v3"}[name]
    body = {"jobId": name, "status": status, "errorCode": code, "versionId": version} | said
    raw = json.dumps(body).encode()
    headers = Signer([TOKEN]).webhook_headers(f"{status}-{version}", raw, int(time.time()))
    lower = {key.lower(): value for key, value in headers.items()}
    return Heard(time.time(), Delivery("/1", lower, raw), WELL)


def test_a_storm_in_which_nothing_went_wrong() -> None:
    assert violations(Draft().aftermath()) == []


def test_the_summary_tells_of_each_job_that_a_fault_failed_and_why() -> None:
    draft = Draft()
    attempt = {"number": 1, "reason": "WorkerLost", "message": "Its Job was deleted."}
    draft.splitjobs[LOST]["status"]["attempts"] = [attempt, attempt | {"number": 2}]
    summary = str(Report(short(7), Timeline(), draft.aftermath(), [], {}))
    attempts = "1. WorkerLost: Its Job was deleted.; 2. WorkerLost: Its Job was deleted."
    told = [line for line in summary.splitlines() if line.startswith("failed by faults")]
    assert told == [f"failed by faults: {LOST} worker_lost: {attempts}"]


def deleted_by_hand(draft: Draft) -> None:
    draft.songs[DONE].deleted = True
    del draft.splitjobs[DONE]
    del draft.heard[DONE]
    draft.totals = (1, 1)


def test_of_a_splitjob_deleted_by_hand_nothing_is_promised() -> None:
    draft = Draft()
    deleted_by_hand(draft)
    assert violations(draft.aftermath()) == []
    draft.totals = (2, 1)  # it had been counted
    assert violations(draft.aftermath()) == []


def two_events(draft: Draft) -> None:
    other = copy.deepcopy(draft.heard[DONE][0])
    headers = {**other.delivery.headers, "webhook-id": "another"}
    draft.heard[DONE].insert(0, replace(other, delivery=replace(other.delivery, headers=headers)))


def forged(draft: Draft) -> None:
    one = draft.heard[DONE][0]
    draft.heard[DONE] = [
        replace(one, delivery=replace(one.delivery, body=one.delivery.body + b" "))
    ]


def nothing_separated(draft: Draft) -> None:
    for job in draft.splitjobs.values():
        job["status"]["phase"] = "Failed"


WRONG: dict[str, tuple[Change, str, str]] = {
    "lost": (lambda d: d.splitjobs.pop(LOST), LOST, "its SplitJob is gone"),
    "unknown": (lambda d: d.songs.pop(LOST), LOST, "nobody was told"),
    "two ids": (two_events, DONE, "2 event ids"),
    "unheard": (lambda d: d.heard.pop(DONE), DONE, "has heard nothing"),
    "said otherwise": (
        lambda d: d.heard[DONE].insert(0, heard(DONE, "completed", attempts=2)),
        DONE,
        "did not say the same",
    ),
    "forged": (forged, DONE, "signature does not hold"),
    "unfinished": (
        lambda d: d.splitjobs[LOST]["status"].update(phase="Running"),
        LOST,
        "has not ended",
    ),
    "untold": (
        lambda d: d.splitjobs[LOST]["status"]["webhook"].update(state="GivenUp"),
        LOST,
        "its outbox says",
    ),
    "told otherwise": (
        lambda d: d.heard.update({LOST: [heard(LOST, "completed")]}),
        LOST,
        "its receiver was told completed",
    ),
    "another code": (
        lambda d: d.heard.update({LOST: [heard(LOST, "failed", "gpu_error")]}),
        LOST,
        "was told gpu_error",
    ),
    "a defect": (
        lambda d: d.splitjobs[LOST]["status"].update(failure={"code": "internal_error"}),
        LOST,
        "ended by internal_error",
    ),
    "a defect that was tried again": (
        lambda d: d.splitjobs[DONE]["status"].update(attempts=[{"reason": "InternalError"}]),
        DONE,
        "ended by internal_error",
    ),
    "lost to no fault": (
        lambda d: setattr(d, "faults", {"s3 killed": 1}),
        LOST,
        "ended by worker_lost",
    ),
    "separated from nothing": (
        lambda d: d.songs.update({DONE: song(1, "missing")}),
        DONE,
        "ended by completed",
    ),
    "canceled by nobody": (
        lambda d: d.splitjobs[LOST]["status"].update(failure={"code": "canceled"}),
        LOST,
        "ended by canceled",
    ),
    "nothing separated": (nothing_separated, "", "no job at all completed"),
    "counted twice": (lambda d: setattr(d, "totals", (3, 1)), "", "the total says 3"),
    "uncounted": (
        lambda d: d.splitjobs[DONE]["status"].update(counted=False),
        DONE,
        "do not include it",
    ),
    "no tombstone": (
        lambda d: d.manifests.pop("v2/split-lost/manifest.json"),
        LOST,
        "nothing is in the manifest's place",
    ),
    "another end": (
        lambda d: d.manifests["v2/split-lost/manifest.json"].update(status="completed"),
        LOST,
        "the manifest says completed",
    ),
    "a stem missing": (lambda d: d.keys.pop(STEM), DONE, "there are []"),
    "a stem damaged": (
        lambda d: d.checksums.update({STEM: "sha256:" + "0" * 64}),
        DONE,
        "is not what its manifest says",
    ),
    "a stray object": (
        lambda d: d.keys.update({"v9/x/y.wav": 1}),
        "",
        "nobody knows of v9/x/y.wav",
    ),
    "not uploaded": (
        lambda d: d.keys.pop("uploads/v3/vocals"),
        SENT,
        "['vocals'] were not uploaded",
    ),
    "left": (lambda d: d.left.append(("Secret s", LOST)), LOST, "Secret s is left"),
    "a 500": (lambda d: d.broken.append("the API answered 500"), "", "answered 500"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_and_of_whom(case: str) -> None:
    change, job_id, words = WRONG[case]
    draft = Draft()
    change(draft)
    found = violations(draft.aftermath())
    assert any(words in one.text and one.job_id == job_id for one in found), found


@pytest.mark.parametrize(("source", "explained"), [("stored", True), ("song", False)])
def test_only_a_song_of_the_bucket_misses_the_bucket(source: Source, explained: bool) -> None:
    assert explains(song(1, source), ["s3 frozen"], "source_unavailable") is explained
    assert not explains(song(1, source), ["worker killed"], "source_unavailable")
