"""The smaller pure parts: request check, manifests, totals, events, the status as JSON."""

import base64
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.operator_samples import (
    NOW,
    UID,
    completed_report,
    raw_splitjob,
    seen,
    settings,
    splitjob,
    stamp,
)

from splitjob.allowlist import Allowlist
from splitjob.errors import ErrorCode
from splitjob.intent import intent_of
from splitjob.lifecycle import LifecycleState
from splitjob.models import load_registry
from splitjob.resource import SECRET_TYPE, Request, SplitJobStatus
from splitjob.result import Manifest
from splitjob.totals import Totals
from splitjob_operator.core.events import event_manifest, events_between
from splitjob_operator.core.lookups import ClaimTombstone, ManifestState
from splitjob_operator.core.manifest import classify, tombstone
from splitjob_operator.core.observed import SplitJob
from splitjob_operator.core.queue import CachedSplitJob
from splitjob_operator.core.reconcile import reconcile
from splitjob_operator.core.request_check import Rules, judge, urls_in
from splitjob_operator.core.status_json import dump
from splitjob_operator.runtime.nodes import away_since
from splitjob_operator.runtime.resync import _secret
from splitjob_operator.runtime.totals_counter import candidates

RULES = Rules(
    Allowlist.parse("https://hooks.example.com", local=False), load_registry(None), local=False
)
WHOLE = "https://audio.example.com/song.wav?X-Amz-Date=20261122T190000Z&X-Amz-Expires={}"


def request(**changed: Any) -> Request:
    spec = splitjob(**changed).spec
    assert spec
    return spec.request


def secret(kind: str = SECRET_TYPE, **urls: str) -> dict[str, Any]:
    data = {key: base64.b64encode(url.encode()).decode() for key, url in urls.items()}
    return {"type": kind, "data": data}


class TestCheck:
    source = {"url": "https://audio.example.com/song.wav", "secretKey": "source"}  # noqa: RUF012

    def test_a_request_that_can_be_served(self) -> None:
        assert judge(request(), None, RULES, NOW) is None

    def test_what_the_api_would_have_refused(self) -> None:
        """Acceptance 19, 21."""
        for changed in (
            {"model": "nothing"},
            {"stems": ["kazoo"]},
            {"webhook": {"url": "https://hooks.example.com.evil.com/x"}},
            {"format": "mp3", "bitDepth": 24},
        ):
            problem = judge(request(**changed), None, RULES, NOW)
            assert problem
            assert problem.code == ErrorCode.REQUEST_INVALID

    def test_the_secret_must_be_of_the_type(self) -> None:
        asked = request(secretName="s", source=self.source)
        problem = judge(asked, secret("Opaque", source=WHOLE.format(9)), RULES, NOW)
        assert problem
        assert problem.code == ErrorCode.REQUEST_INVALID
        missing = judge(asked, None, RULES, NOW)
        assert missing
        assert (missing.code, missing.missing) == (ErrorCode.WORKER_CONFIG, "s")

    @pytest.mark.parametrize(
        "name", ["..", "a/b", "../configmaps/a", "", "A", "a?b", "a.", "x" * 254]
    )
    def test_a_secret_is_asked_for_by_its_name_alone(self, name: str) -> None:
        """The name becomes part of an address of the API server."""
        view = splitjob(secretName=name)
        assert view.spec is None
        assert view.spec_error == "spec: these fields cannot be used: request.secretName"

    def test_a_secret_may_have_any_name_that_there_is(self) -> None:
        for name in ("split-abc-0f", "a", "0.b-c.d", "x" * 253):
            assert request(secretName=name).secret_name == name

    def test_an_expired_url(self) -> None:
        """Acceptance 24."""
        asked = request(secretName="s", source=self.source)
        assert judge(asked, secret(source=WHOLE.format(7200)), RULES, NOW) is None
        problem = judge(asked, secret(source=WHOLE.format(60)), RULES, NOW)
        assert problem
        assert problem.code == ErrorCode.SOURCE_EXPIRED
        assert "X-Amz" not in problem.message

    def test_rubbish_in_a_secret(self) -> None:
        assert urls_in({"data": {"a": "/w==", "b": "&", "c": "eA=="}}) == {"c": "x"}
        assert urls_in({"data": None}) == {}


def manifest_of_another_job() -> Manifest:
    """A completed job of another uid that asked for the same."""
    return Manifest(
        job_id="x",
        job_uid="other",
        version_id="v",
        intent=intent_of(request()),
        status="completed",
        result=completed_report().result(request(), "stems", "p"),
    )


class TestManifest:
    def test_completed_is_completed_whoever_wrote_it(self) -> None:
        whole = manifest_of_another_job()
        assert classify(whole, UID, request()).state is ManifestState.COMPLETED
        half = whole.model_copy(update={"result": None})
        assert classify(half, UID, request()).state is ManifestState.FOREIGN

    def test_another_request_of_the_same_name_has_to_run(self) -> None:
        former = manifest_of_another_job()
        asked = request().model_copy(update={"format": "flac"})
        assert classify(former, UID, asked).state is ManifestState.FOREIGN
        assert classify(former, "other", asked).state is ManifestState.COMPLETED

    def test_a_tombstone_binds_its_own_job_alone(self) -> None:
        wanted = ClaimTombstone("failed", ErrorCode.WORKER_LOST)
        stone = tombstone(splitjob(), request(), 3, wanted)
        assert classify(stone, UID, request()).state is ManifestState.OUR_TOMBSTONE
        assert classify(stone, "later", request()).state is ManifestState.FOREIGN
        assert Manifest.model_validate_json(stone.model_dump_json(by_alias=True)) == stone


def finished(uid: str, event: str, *, counted: bool = False) -> CachedSplitJob:
    return CachedSplitJob(
        name=uid,
        uid=uid,
        resource_version="1",
        created_at=NOW,
        priority=0,
        state=LifecycleState.COMPLETED,
        model="demo",
        event=event,
        counted=counted,
        processing_ms=2000,
    )


class TestTotals:
    def test_a_batch(self) -> None:
        batch = [finished("a", "completed"), finished("b", "failed")]
        totals = Totals(completed=5).plus(batch, "cpu")
        assert (totals.completed, totals.failed, totals.batch) == (6, 1, ("a", "b"))
        assert totals.run_seconds == {"demo/cpu": 2.0}
        assert Totals.parse(totals.data()) == totals

    @given(st.integers(0, 10**6), st.integers(1, 12))
    def test_exact_across_crashes(self, seed: int, jobs: int) -> None:
        """A crash after any write, and clean-up at any time, counts nothing twice."""
        chance = random.Random(seed)
        there = {str(n): finished(str(n), "completed") for n in range(jobs)}
        data: dict[str, str] = {}
        for _ in range(300):
            totals = Totals.parse(data)
            uncounted = candidates(there.values())
            last = [e for e in uncounted if e.uid in totals.batch]
            for entry in last:
                if chance.random() < 0.4:
                    break  # crash
                there[entry.uid] = finished(entry.uid, "completed", counted=True)
            else:
                fresh = [e for e in uncounted if e.uid not in totals.batch][:3]
                if fresh:
                    data = totals.plus(fresh, "cpu").data()
            for uid, entry in list(there.items()):
                if entry.counted and chance.random() < 0.2:
                    del there[uid]  # its time to live is over
        assert Totals.parse(data).completed == jobs


class TestEvents:
    def test_what_happened_is_told_once(self) -> None:
        view = splitjob()
        plan = reconcile(seen(view), settings(), NOW)
        assert plan.status
        told = events_between(view.status, plan.status)
        assert [item.reason for item in told] == ["AttemptStarted"]
        assert events_between(plan.status, plan.status) == []

    def test_the_object(self) -> None:
        plan = reconcile(seen(splitjob()), settings(), NOW)
        assert plan.status
        event = event_manifest(splitjob(), events_between(SplitJobStatus(), plan.status)[0], NOW)
        assert event["involvedObject"]["uid"] == UID
        assert event["firstTimestamp"] == stamp(NOW)


def test_a_status_is_read_back_as_it_was_written() -> None:
    plan = reconcile(seen(splitjob()), settings(), NOW)
    assert plan.status
    again = SplitJob.of(raw_splitjob(status=dump(plan.status)))
    assert dump(again.status) == dump(plan.status)
    assert "null" not in str(dump(plan.status))


def test_nodes_that_are_away() -> None:
    def node(status: str) -> dict[str, Any]:
        ready = {"type": "Ready", "status": status, "lastTransitionTime": stamp(NOW)}
        return {"status": {"conditions": [ready]}}

    assert away_since(node("True")) is None
    assert away_since(node("Unknown")) == NOW


def test_of_a_secret_only_its_metadata_is_kept() -> None:
    raw = {
        "metadata": {"name": "s", "uid": "u", "creationTimestamp": stamp(NOW)},
        "data": {"source": "c2VjcmV0"},
    }
    assert _secret(raw) == ("s", "u", NOW, False)
