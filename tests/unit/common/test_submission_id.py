"""The id of a submission tells when that was."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from splitjob.submission_id import new_submission_id, submitted_when_created

NOW = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)


def test_each_submission_has_an_id_of_its_own_in_the_form_of_the_resource() -> None:
    ids = {new_submission_id(NOW) for _ in range(100)}
    assert len(ids) == 100
    assert all(re.fullmatch("[0-9a-f]{32}", one) for one in ids)


@pytest.mark.parametrize("seconds", [-5, 0, 5])
def test_what_is_created_as_it_is_submitted_is_no_restore(seconds: int) -> None:
    assert submitted_when_created(new_submission_id(NOW), NOW + timedelta(seconds=seconds))


def test_what_is_created_again_later_is_a_restore() -> None:
    assert not submitted_when_created(new_submission_id(NOW), NOW + timedelta(hours=1))


@pytest.mark.parametrize("given", [None, "", "5" * 32, "f" * 32])
def test_an_id_that_tells_no_time_may_be_that_of_a_restored_job(given: str | None) -> None:
    assert not submitted_when_created(given, NOW)
