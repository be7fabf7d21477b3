"""Erasing what the bucket holds of a job: all of it, once, whatever breaks off in between."""

import json

import pytest
from tests.support.fake_ports import Bucket, FakeBucketService
from tests.support.faults import CallGate, Fault
from tests.support.operator_samples import UID, completed_report
from tests.support.operator_world import INPUT_KEY, KEY, PREFIX, REQUEST
from tests.support.reconcile_situations import failed, request, running

from splitjob.result import Manifest
from splitjob_operator.adapters.manifest_store import ManifestStore
from splitjob_operator.core.lookups import EraseData, ErasureLookup, ManifestState
from splitjob_operator.core.observed import SplitJob

ALL = EraseData()
OTHERS = {"v1/another-job/drums.wav", f"{PREFIX}-2/drums.wav", "v2/drums.wav"}


@pytest.fixture
def bucket() -> Bucket:
    found = Bucket()
    names = [*(f"{PREFIX}/{stem}.wav" for stem in ("drums", "vocals")), *OTHERS]
    found.objects = dict.fromkeys(names, b"sound")
    return found


@pytest.fixture
def gate() -> CallGate:
    return CallGate(lambda: None)


@pytest.fixture
def store(bucket: Bucket, gate: CallGate) -> ManifestStore:
    return ManifestStore(FakeBucketService(bucket, gate), "")  # type: ignore[arg-type]


def complete(bucket: Bucket) -> SplitJob:
    manifest = Manifest(
        job_id="x",
        job_uid=UID,
        version_id="v1",
        status="completed",
        result=completed_report().result(REQUEST, "stems", PREFIX),
    )
    bucket.objects[KEY] = manifest.model_dump_json(by_alias=True, exclude_none=True).encode()
    return running()


def test_all_of_a_job_is_erased_and_nothing_of_others(bucket: Bucket, store: ManifestStore) -> None:
    splitjob = complete(bucket)
    assert store.erase(splitjob, request(), ALL) == ErasureLookup(3)
    assert set(bucket.objects) == OTHERS | {KEY}
    stone = json.loads(bucket.objects[KEY])
    assert (stone["status"], stone["erasedObjects"]) == ("erased", 3)
    assert "result" not in stone


def test_a_worker_that_was_cut_off_finds_the_tombstone(
    bucket: Bucket, store: ManifestStore
) -> None:
    splitjob = complete(bucket)
    store.erase(splitjob, request(), ALL)
    assert not bucket.put_if_absent(KEY, b"a manifest")
    assert store.read(splitjob, request()).state is ManifestState.OUR_TOMBSTONE


def test_how_a_failed_job_ended_stays_in_its_tombstone(
    bucket: Bucket, store: ManifestStore
) -> None:
    assert store.erase(failed(), request(), ALL) == ErasureLookup(2)
    stone = json.loads(bucket.objects[KEY])
    assert (stone["status"], stone["errorCode"]) == ("failed", "source_not_found")
    assert (stone["attempt"], stone["gpuSeconds"]) == (1, "5")


@pytest.mark.parametrize("fault", [Fault.REFUSED, Fault.LOST_ANSWER])
@pytest.mark.parametrize("call", ["get_json", "list_objects", "upload_fileobj", "delete_objects"])
def test_what_broke_off_is_done_at_the_next_try_and_counted_once(
    bucket: Bucket, gate: CallGate, store: ManifestStore, call: str, fault: Fault
) -> None:
    """Acceptance 74."""
    splitjob = complete(bucket)
    gate.arm({(call, 0): fault})
    assert store.erase(splitjob, request(), ALL).objects is None
    gate.arm({})
    for _ in range(2):
        assert store.erase(splitjob, request(), ALL) == ErasureLookup(3)
    assert set(bucket.objects) == OTHERS | {KEY}


def test_a_tombstone_of_another_job_says_nothing_of_this_one(
    bucket: Bucket, store: ManifestStore
) -> None:
    former = Manifest(
        job_id="x", job_uid="other", version_id="v1", status="erased", erased_objects=99
    )
    bucket.objects[KEY] = former.model_dump_json(by_alias=True).encode()
    assert store.erase(running(), request(), ALL) == ErasureLookup(3)


def test_the_file_that_it_read_goes_along_and_is_counted(
    bucket: Bucket, store: ManifestStore
) -> None:
    splitjob = complete(bucket)
    bucket.objects[INPUT_KEY] = b"a song"
    wanted = EraseData(INPUT_KEY)
    for _ in range(2):
        assert store.erase(splitjob, request(), wanted) == ErasureLookup(4)
    assert set(bucket.objects) == OTHERS | {KEY}


def test_a_file_that_another_job_needs_stays_and_is_counted_once_it_goes(
    bucket: Bucket, store: ManifestStore
) -> None:
    splitjob = complete(bucket)
    bucket.objects[INPUT_KEY] = b"a song"
    kept = store.erase(splitjob, request(), EraseData(INPUT_KEY, keep_input=True))
    assert kept == ErasureLookup(4)
    assert set(bucket.objects) == OTHERS | {KEY, INPUT_KEY}
    assert store.erase(splitjob, request(), EraseData(INPUT_KEY)) == ErasureLookup(4)
    assert set(bucket.objects) == OTHERS | {KEY}
