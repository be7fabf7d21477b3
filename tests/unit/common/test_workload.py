"""What a job is known by to receivers."""

from splitjob.workload import courtesy_event_id, event_id, identity_of

SUBMISSION = "5" * 32


def test_a_job_is_known_by_its_submission_whatever_its_uid() -> None:
    known = {identity_of("split-a", uid, SUBMISSION) for uid in ("one", "another")}
    assert len(known) == 1
    assert event_id(known.pop(), "failed") == f"evt-split-a-{SUBMISSION}-failed"


def test_a_splitjob_copied_by_hand_to_another_name_is_another_job() -> None:
    assert identity_of("split-a", "one", SUBMISSION) != identity_of("split-b", "two", SUBMISSION)


def test_without_a_submission_the_uid_stands_for_the_job() -> None:
    assert event_id(identity_of("split-a", "uid", None), "completed") == "evt-uid-completed"
    assert courtesy_event_id("uid", 2, "progress", 3) == "evt-uid-2-progress-3"
