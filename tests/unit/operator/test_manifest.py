"""A manifest in the bucket: whose it is, and what it says about this SplitJob."""

from typing import Any

from tests.support.operator_samples import (
    UID,
    completed_report,
    splitjob,
)

from splitjob.errors import ErrorCode
from splitjob.intent import intent_of
from splitjob.result import Manifest
from splitjob.spec import Request
from splitjob.status import Usage
from splitjob_operator.core.lookups import ClaimTombstone, ManifestState
from splitjob_operator.core.manifest import classify, reservation, tombstone


def request(**changed: Any) -> Request:
    spec = splitjob(**changed).spec
    assert spec
    return spec.request


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
        usage = Usage(attempts=3, gpu_seconds="9.5")
        wanted = ClaimTombstone("failed", ErrorCode.WORKER_LOST, "Its node is gone.", usage)
        stone = tombstone(splitjob(), request(), wanted)
        assert (stone.attempt, stone.gpu_seconds) == (3, "9.5")
        assert classify(stone, UID, request()).state is ManifestState.OUR_TOMBSTONE
        assert classify(stone, "later", request()).state is ManifestState.FOREIGN
        assert Manifest.model_validate_json(stone.model_dump_json(by_alias=True)) == stone

    def test_a_restored_job_knows_its_own_by_the_submission_id(self) -> None:
        asked = request(submissionId="5" * 32)
        wanted = ClaimTombstone("canceled", ErrorCode.CANCELED, "", Usage())
        stone = tombstone(splitjob(), asked, wanted)
        assert classify(stone, "restored", asked).state is ManifestState.OUR_TOMBSTONE
        asked_anew = request(submissionId="6" * 32)
        assert classify(stone, "later", asked_anew).state is ManifestState.FOREIGN
        kept = reservation(splitjob(), asked)
        assert classify(kept, "restored", asked).state is ManifestState.ABSENT
        assert classify(kept, "later", asked_anew).state is ManifestState.FOREIGN

    def test_one_that_a_newer_version_wrote_is_still_the_jobs_own(self) -> None:
        """After an upgrade that was taken back, a song that failed is not separated again."""
        wanted = ClaimTombstone("failed", ErrorCode.WORKER_OOM, "It was slow.", Usage())
        newer = tombstone(splitjob(), request(), wanted).model_dump(by_alias=True)
        read = Manifest.model_validate(newer | {"errorCode": "worker_throttled"})
        assert classify(read, UID, request()).state is ManifestState.OUR_TOMBSTONE
        assert (read.error_code, read.message) == (ErrorCode.INTERNAL_ERROR, "It was slow.")
