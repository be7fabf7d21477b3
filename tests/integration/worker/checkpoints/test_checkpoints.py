"""What one run keeps in a real bucket, another one goes on from; and nothing that is odd."""

import json
import secrets
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support.flaky_storage import Flaky
from tests.support.waiting import eventually

from splitjob_io.storage import S3Service
from splitjob_worker.cancellation import Cancelled, CancelToken
from splitjob_worker.checkpoints import checkpoints as module
from splitjob_worker.checkpoints.checkpoints import Checkpoints, open_checkpoints
from splitjob_worker.checkpoints.cutting import RANGE_BYTES
from splitjob_worker.checkpoints.index import StoredRange
from splitjob_worker.checkpoints.store import CheckpointStore
from splitjob_worker.engine.position import Position, RunPosition
from splitjob_worker.scratch import Scratch
from splitjob_worker.settings import WorkerSettings, load
from splitjob_worker.spool import Samples

STEMS = 4
STEP = RANGE_BYTES // (STEMS * 2 * 4)  # frames from one position to the next
PRINT = "the-same-separation"


@pytest.fixture
def prefix(tmp_path: Path) -> str:
    """Where this test's job has its objects."""
    return f"checkpoints/{tmp_path.name}"


@pytest.fixture
def run(storage: S3Service, prefix: str, tmp_path: Path) -> Callable[..., Checkpoints]:
    """Makes the checkpoints of one more run of the job."""

    def of_run(
        attempt: int = 1,
        fingerprint: str = PRINT,
        identity: str = "this-job",
        bucket: S3Service = storage,
        cancel: CancelToken | None = None,
    ) -> Checkpoints:
        store = CheckpointStore(bucket, prefix, identity, attempt)
        token = cancel or CancelToken()
        return Checkpoints(store, fingerprint, Scratch(tmp_path), token, grace_seconds=30)

    return of_run


def step(number: int) -> tuple[Samples, Position]:
    """The stems of one step of the model, and where one goes on behind it."""
    noise = np.random.default_rng(number).standard_normal((STEMS, 2, STEP)).astype(np.float32)
    return noise, Position((number + 1) * STEP, (RunPosition(number + 1, 2),), 0.1 * number)


def keys(storage: S3Service, prefix: str) -> list[str]:
    return [one["key"] for one in storage.list_objects(f"{prefix}/checkpoint/")]


def break_off(checkpoints: Checkpoints, first: int, last: int) -> None:
    """Let a run come from one step to another one, and be told to stop."""
    with pytest.raises(Cancelled):
        be_told_to_stop(checkpoints, first, last)


def be_told_to_stop(checkpoints: Checkpoints, first: int, last: int) -> None:
    with checkpoints:
        for number in range(first, last):
            checkpoints.keep(*step(number))
        raise Cancelled


def steps_of(checkpoints: Checkpoints) -> tuple[int, list[Samples]]:
    """How many steps a run finds, and what they are."""
    earlier = checkpoints.open(STEMS, 0, lambda: None)
    if earlier is None:
        return 0, []
    assert earlier.position.frame % STEP == 0
    found = earlier.position.frame // STEP
    assert earlier.position == step(found - 1)[1]
    return found, list(earlier.blocks)


def test_another_run_goes_on_with_the_same_samples(
    run: Callable[..., Checkpoints], tmp_path: Path
) -> None:
    first = run()
    assert steps_of(first) == (0, [])
    break_off(first, 0, 3)
    found, blocks = steps_of(run(attempt=2))
    assert found == 3
    expected = np.concatenate([step(number)[0] for number in range(3)], axis=-1)
    assert np.array_equal(np.concatenate(blocks, axis=-1), expected)
    assert list(tmp_path.iterdir()) == []


def test_each_range_goes_up_once_however_many_runs_there_are(
    run: Callable[..., Checkpoints], storage: S3Service, prefix: str
) -> None:
    first, second = run(), run()  # one attempt of Kueue's, that ran twice
    steps_of(first)
    break_off(first, 0, 2)
    assert steps_of(second)[0] == 2
    break_off(second, 2, 3)
    third = run(attempt=2)
    assert steps_of(third)[0] == 3
    assert len([key for key in keys(storage, prefix) if "index" not in key]) == 3
    third.remove()
    assert keys(storage, prefix) == []


def test_two_that_are_alive_at_once_never_mix(run: Callable[..., Checkpoints]) -> None:
    one, other = run(attempt=1), run(attempt=2)
    steps_of(one)
    steps_of(other)
    break_off(other, 0, 2)
    assert steps_of(run(attempt=3))[0] == 2
    break_off(one, 0, 3)  # on a node that was cut off: it goes on, and hurts nobody
    found, blocks = steps_of(run(attempt=3))
    assert (found, len(blocks)) == (3, 3)


def test_of_another_separation_or_another_job_of_the_name_nothing_counts(
    run: Callable[..., Checkpoints], storage: S3Service, prefix: str
) -> None:
    first = run()
    steps_of(first)
    break_off(first, 0, 1)
    assert steps_of(run(fingerprint="another-model")) == (0, [])
    stranger = run(identity="another-job")
    assert steps_of(stranger) == (0, [])
    stranger.remove()  # it has ended, this one has not
    assert len(keys(storage, prefix)) == 2


@pytest.mark.parametrize(
    "spoil",
    [
        lambda index: index | {"version": 2},
        lambda index: index | {"frame": index["frame"] + 1},
        lambda index: index | {"ranges": index["ranges"][1:]},
        lambda index: index | {"ranges": [{**index["ranges"][0], "sha256": "0"}]},
        lambda index: index | {"ranges": [{**index["ranges"][0], "key": "1/elsewhere"}]},
        lambda _index: [],
    ],
)
def test_an_index_that_is_odd_is_thrown_away(
    run: Callable[..., Checkpoints],
    storage: S3Service,
    prefix: str,
    spoil: Callable[[object], object],
) -> None:
    first = run()
    steps_of(first)
    break_off(first, 0, 1)
    (key,) = [key for key in keys(storage, prefix) if key.endswith("index.json")]
    spoilt = json.dumps(spoil(storage.get_json(key)))
    storage.client.put_object(Bucket=storage.bucket, Key=key, Body=spoilt.encode())
    assert steps_of(run(attempt=2)) == (0, [])


def test_a_range_that_is_cut_off_or_gone_is_thrown_away(
    run: Callable[..., Checkpoints], storage: S3Service, prefix: str, tmp_path: Path
) -> None:
    first = run()
    steps_of(first)
    break_off(first, 0, 2)
    range_key = next(key for key in keys(storage, prefix) if "index" not in key)
    half = storage.get_object(range_key)[: RANGE_BYTES // 3]
    storage.client.put_object(Bucket=storage.bucket, Key=range_key, Body=half)
    assert steps_of(run(attempt=2)) == (0, [])
    storage.delete_file(range_key)
    assert steps_of(run(attempt=2)) == (0, [])
    assert list(tmp_path.iterdir()) == []


class SlowStore(CheckpointStore):
    """Writes nothing until it may."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.may = threading.Event()

    def write_range(self, packed: bytes, frames: int) -> StoredRange:
        self.may.wait()
        return super().write_range(packed, frames)


def test_a_range_under_way_is_not_left_over(
    storage: S3Service, prefix: str, tmp_path: Path
) -> None:
    store = SlowStore(storage, prefix, "this-job", 1)
    checkpoints = Checkpoints(store, PRINT, Scratch(tmp_path), CancelToken(), grace_seconds=30)
    with checkpoints:
        steps_of(checkpoints)
        checkpoints.keep(*step(0))
    removing = threading.Thread(target=checkpoints.remove)
    removing.start()
    removing.join(0.5)  # long enough to delete what is there
    store.may.set()
    removing.join()
    assert not [one for one in threading.enumerate() if one.name == "checkpoint"]
    assert keys(storage, prefix) == []


def test_a_bucket_that_is_slower_than_the_model_is_left_alone(
    storage: S3Service, prefix: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Acceptance 77: on a fast GPU it is cheaper to start again, and the worker says so."""
    store = SlowStore(storage, prefix, "this-job", 1)
    checkpoints = Checkpoints(store, PRINT, Scratch(tmp_path), CancelToken(), grace_seconds=30)
    try:
        with checkpoints:
            assert steps_of(checkpoints) == (0, [])
            for number in range(20):
                checkpoints.keep(*step(number))
    finally:
        store.may.set()
    assert "cheaper to start again" in caplog.text
    assert sum(path.stat().st_size for path in tmp_path.glob("*.f32")) <= 10 * RANGE_BYTES


def test_a_bucket_that_fails_ends_the_checkpoints_and_nothing_else(
    run: Callable[..., Checkpoints],
    flaky: tuple[Flaky, S3Service],
    caplog: pytest.LogCaptureFixture,
) -> None:
    front, bucket = flaky
    checkpoints = run(bucket=bucket)
    with checkpoints:
        steps_of(checkpoints)
        front.failures = [403] * 100
        checkpoints.keep(*step(0))
        eventually(lambda: "no more checkpoints" in caplog.text)
        checkpoints.keep(*step(1))
    checkpoints.remove()
    assert "checkpoints are left in the bucket" in caplog.text
    front.failures = [403]
    assert steps_of(run(bucket=bucket)) == (0, [])


def test_told_to_stop_it_sends_what_can_be_sent_in_time(
    run: Callable[..., Checkpoints], monkeypatch: pytest.MonkeyPatch
) -> None:
    cancel = CancelToken()
    checkpoints = run(cancel=cancel)
    steps_of(checkpoints)
    monkeypatch.setattr(module, "ENDING_SECONDS", 40)  # of 30
    break_off(checkpoints, 0, 3)
    assert steps_of(run(attempt=2))[0] < 3


def test_a_scratch_disk_without_room_is_left_alone(
    storage: S3Service, prefix: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = CheckpointStore(storage, prefix, "this-job", 1)
    folder = tmp_path / "job"
    folder.mkdir()
    scratch = Scratch(folder, limit=1 << 28)
    checkpoints = Checkpoints(store, PRINT, scratch, CancelToken(), grace_seconds=30)
    with checkpoints:
        assert checkpoints.open(STEMS, 1, lambda: None) is None
        checkpoints.keep(*step(0))
    assert list(folder.iterdir()) == []
    assert "no room" in caplog.text


@pytest.fixture(autouse=True)
def _nothing_left(storage: S3Service, prefix: str) -> Iterator[None]:
    yield
    storage.delete_objects(keys(storage, prefix))


def test_under_object_lock_there_are_none(
    storage: S3Service, prefix: str, settings: WorkerSettings, tmp_path: Path
) -> None:
    """What is written could not be deleted."""
    locked = S3Service(storage.settings, f"locked-{secrets.token_hex(4)}")
    locked.client.create_bucket(Bucket=locked.bucket, ObjectLockEnabledForBucket=True)
    assert locked.is_object_lock_enabled()
    assert not storage.is_object_lock_enabled()
    scratch, cancel = Scratch(tmp_path), CancelToken()
    assert open_checkpoints(locked, settings, prefix, PRINT, scratch, cancel) is None
    assert open_checkpoints(storage, settings, prefix, PRINT, scratch, cancel) is not None


@pytest.mark.parametrize(("checksum", "locked"), [("", False), ("md5", True)])
def test_keys_that_may_not_ask_are_told_by_the_checksum(
    flaky: tuple[Flaky, S3Service], checksum: str, locked: bool
) -> None:
    front, bucket = flaky
    demanding = bucket.settings.model_copy(update={"s3_checksum": checksum})
    front.failures = [403]
    assert S3Service(demanding, bucket.bucket).is_object_lock_enabled() is locked


@pytest.fixture
def settings() -> WorkerSettings:
    """Of a job."""
    request = {
        "versionId": "version-1",
        "model": "tiny",
        "source": {"url": "https://songs.example/song.wav"},
        "webhook": {"url": "https://hooks.example/hooks"},
    }
    return load(
        {
            "JOB_ID": "job",
            "JOB_UID": "uid",
            "SCRATCH_DIR": "/scratch",
            "SPLIT_REQUEST": json.dumps(request),
        }
    )
