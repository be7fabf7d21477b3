"""The manifest's place: whoever comes second writes nothing there; erasing, all of it and once."""

import json

import pytest
from tests.support.fake_ports import Bucket, FakeBucketService
from tests.support.faults import CallGate, Fault
from tests.support.operator_samples import UID, completed_report
from tests.support.operator_world import INPUT_KEY, KEY, PREFIX, REQUEST
from tests.support.reconcile_situations import failed, request, running

from splitjob.errors import ErrorCode
from splitjob.result import Manifest
from splitjob.status import Usage
from splitjob_io.storage import StoredObject
from splitjob_operator.adapters.manifest_store import ManifestStore
from splitjob_operator.core.lookups import (
    ClaimTombstone,
    EraseData,
    ErasureLookup,
    ManifestState,
)
from splitjob_operator.core.observed import SplitJob
from splitjob_operator.core.ports import BucketError

ALL = EraseData()
CANCELED = ClaimTombstone("canceled", ErrorCode.CANCELED, "", Usage(attempts=1, gpu_seconds="5"))
FILES = ["drums.wav", "manifest.json", "vocals.wav"]
WITH_INPUT = ["drums.wav", "input", "manifest.json", "vocals.wav"]
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


def leave(bucket: Bucket, job_uid: str) -> bytes:
    """Put what a job of that uid left into the manifest's place."""
    manifest = Manifest(job_id="x", job_uid=job_uid, version_id="v1", status="failed")
    body = manifest.model_dump_json(by_alias=True).encode()
    bucket.objects[KEY] = body
    return body


class OvertakenService(FakeBucketService):
    """A way to the bucket on which others write whenever something was read."""

    def __init__(self, bucket: Bucket, gate: CallGate, *others: str) -> None:
        super().__init__(bucket, gate)
        self._there, self._others = bucket, list(others)

    def read_object(self, key: str) -> StoredObject | None:
        stored = super().read_object(key)
        if self._others:
            leave(self._there, self._others.pop(0))
        return stored


def test_what_a_former_job_left_is_written_over_and_never_deleted(
    bucket: Bucket, store: ManifestStore
) -> None:
    leave(bucket, "former")
    store.replace_foreign(running(), request())
    kept = json.loads(bucket.objects[KEY])
    assert (kept["jobUid"], kept["status"]) == (UID, "reserved")
    assert store.read(running(), request()).state is ManifestState.ABSENT
    assert not bucket.put_if_absent(KEY, b"of a worker of the former job")
    assert store.claim(running(), request(), CANCELED).state is ManifestState.OUR_TOMBSTONE


@pytest.mark.parametrize("former", [b"not JSON", b"[]", b'{"status": "of a later release"}'])
def test_what_cannot_be_read_is_written_over(
    bucket: Bucket, store: ManifestStore, former: bytes
) -> None:
    bucket.objects[KEY] = former
    assert store.read(running(), request()).state is ManifestState.FOREIGN
    store.replace_foreign(running(), request())
    assert json.loads(bucket.objects[KEY])["jobUid"] == UID


def test_what_another_has_written_since_the_look_stays(bucket: Bucket, gate: CallGate) -> None:
    service = OvertakenService(bucket, gate, "later")
    store = ManifestStore(service, "")  # type: ignore[arg-type]
    leave(bucket, "former")
    with pytest.raises(BucketError, match="keeps changing"):
        store.replace_foreign(running(), request())
    assert json.loads(bucket.objects[KEY])["jobUid"] == "later"


def test_what_attempts_kept_for_later_ones_goes_with_the_tombstone(
    bucket: Bucket, store: ManifestStore
) -> None:
    """Of every attempt of this job, and of no other job that has or had its name."""
    folder = f"{PREFIX}/checkpoint"
    ours = {f"{folder}/1/{UID}.run/00000000", f"{folder}/2/{UID}.other/index.json"}
    others = {f"{folder}/1/{UID}-2.run/00000000", f"{folder}/1/later.run/0", f"{folder}/{UID}.x"}
    bucket.objects |= dict.fromkeys({*ours, *others}, b"kept")
    assert store.claim(running(), request(), CANCELED).state is ManifestState.OUR_TOMBSTONE
    assert not ours & set(bucket.objects)
    assert others <= set(bucket.objects)


def test_what_attempts_kept_stays_where_the_job_is_completed(
    bucket: Bucket, store: ManifestStore
) -> None:
    """The worker, which knows that it is the last, deletes them."""
    bucket.objects[f"{PREFIX}/checkpoint/1/{UID}.run/00000000"] = b"kept"
    before = {*bucket.objects, KEY}
    assert store.claim(complete(bucket), request(), CANCELED).state is ManifestState.COMPLETED
    assert set(bucket.objects) == before


def test_a_job_that_never_ran_costs_no_look(bucket: Bucket, store: ManifestStore) -> None:
    key = f"{PREFIX}/checkpoint/1/{UID}.run/00000000"
    bucket.objects[key] = b"kept"
    never = ClaimTombstone("canceled", ErrorCode.CANCELED, "", Usage(attempts=0, gpu_seconds="0"))
    store.claim(running(), request(), never)
    assert key in bucket.objects


def test_a_place_is_claimed_over_what_is_there_now(bucket: Bucket, gate: CallGate) -> None:
    service = OvertakenService(bucket, gate, "second")
    store = ManifestStore(service, "")  # type: ignore[arg-type]
    leave(bucket, "first")
    assert store.claim(running(), request(), CANCELED).state is ManifestState.OUR_TOMBSTONE
    assert json.loads(bucket.objects[KEY])["jobUid"] == UID


def test_a_place_that_changes_at_every_look_is_not_claimed(bucket: Bucket, gate: CallGate) -> None:
    service = OvertakenService(bucket, gate, *"abcdef")
    store = ManifestStore(service, "")  # type: ignore[arg-type]
    leave(bucket, "former")
    assert store.claim(running(), request(), CANCELED).state is ManifestState.UNREACHABLE
    assert json.loads(bucket.objects[KEY])["jobUid"] in "abcdef"


def test_data_are_not_erased_where_somebody_has_written_meanwhile(
    bucket: Bucket, gate: CallGate
) -> None:
    splitjob = complete(bucket)
    service = OvertakenService(bucket, gate, "later")
    store = ManifestStore(service, "")  # type: ignore[arg-type]
    assert store.erase(splitjob, request(), ALL).files is None
    assert f"{PREFIX}/drums.wav" in bucket.objects
    assert json.loads(bucket.objects[KEY])["jobUid"] == "later"


def test_all_of_a_job_is_erased_and_nothing_of_others(bucket: Bucket, store: ManifestStore) -> None:
    splitjob = complete(bucket)
    assert store.erase(splitjob, request(), ALL) == ErasureLookup(FILES)
    assert set(bucket.objects) == OTHERS | {KEY}
    stone = json.loads(bucket.objects[KEY])
    assert (stone["status"], stone["erasedFiles"]) == ("erased", FILES)
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
    for _ in range(2):
        assert store.erase(failed(), request(), ALL) == ErasureLookup(["drums.wav", "vocals.wav"])
    stone = json.loads(bucket.objects[KEY])
    assert (stone["status"], stone["errorCode"]) == ("failed", "source_not_found")
    assert (stone["attempt"], stone["gpuSeconds"]) == (1, "5")


@pytest.mark.parametrize("fault", [Fault.REFUSED, Fault.LOST_ANSWER])
@pytest.mark.parametrize(
    "call", ["read_object", "list_objects", "put_if_unchanged", "delete_objects"]
)
def test_what_broke_off_is_done_at_the_next_try_and_counted_once(
    bucket: Bucket, gate: CallGate, store: ManifestStore, call: str, fault: Fault
) -> None:
    """Acceptance 74."""
    splitjob = complete(bucket)
    gate.arm({(call, 0): fault})
    assert store.erase(splitjob, request(), ALL).files is None
    gate.arm({})
    for _ in range(2):
        assert store.erase(splitjob, request(), ALL) == ErasureLookup(FILES)
    assert set(bucket.objects) == OTHERS | {KEY}


def test_a_tombstone_of_another_job_says_nothing_of_this_one(
    bucket: Bucket, store: ManifestStore
) -> None:
    former = Manifest(
        job_id="x", job_uid="other", version_id="v1", status="erased", erased_files=["theirs"]
    )
    bucket.objects[KEY] = former.model_dump_json(by_alias=True).encode()
    assert store.erase(running(), request(), ALL) == ErasureLookup(FILES)


def test_the_file_that_it_read_goes_along_and_is_counted(
    bucket: Bucket, store: ManifestStore
) -> None:
    splitjob = complete(bucket)
    bucket.objects[INPUT_KEY] = b"a song"
    wanted = EraseData(INPUT_KEY)
    for _ in range(2):
        assert store.erase(splitjob, request(), wanted) == ErasureLookup(WITH_INPUT)
    assert set(bucket.objects) == OTHERS | {KEY}


def test_a_file_that_another_job_needs_stays_and_is_counted_once_it_goes(
    bucket: Bucket, store: ManifestStore
) -> None:
    splitjob = complete(bucket)
    bucket.objects[INPUT_KEY] = b"a song"
    kept = store.erase(splitjob, request(), EraseData(INPUT_KEY, keep_input=True))
    assert kept == ErasureLookup(WITH_INPUT)
    assert set(bucket.objects) == OTHERS | {KEY, INPUT_KEY}
    erased = store.erase(splitjob, request(), EraseData(INPUT_KEY))
    assert erased == ErasureLookup(WITH_INPUT)
    assert set(bucket.objects) == OTHERS | {KEY}


def test_behind_a_closed_fence_nothing_is_written_or_erased(bucket: Bucket, gate: CallGate) -> None:
    """Acceptance 71: one that stood still, and is not the leader any more."""

    class NotLeading(Exception):  # noqa: N818 - stands for the leader's own
        pass

    def closed() -> None:
        raise NotLeading

    service = FakeBucketService(bucket, gate)
    store = ManifestStore(service, "", closed)  # type: ignore[arg-type]
    before = dict(bucket.objects)
    for write in (
        lambda: store.claim(failed(ErrorCode.CANCELED), REQUEST, CANCELED),
        lambda: store.erase(failed(ErrorCode.CANCELED), REQUEST, ALL),
    ):
        with pytest.raises(NotLeading):
            write()
    assert bucket.objects == before
