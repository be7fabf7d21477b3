"""The catalogue of errors against the code that raises them."""

import re
from pathlib import Path

import pytest

from splitjob_api.error_catalogue import ERRORS, PROBLEM_MEDIA_TYPE, codes_of, documented

API = Path(__file__).parents[3] / "api" / "splitjob_api"
RAISED = re.compile(r"(?:ApiError|retry_later)\(\s*(\d{3}),\s*\"(\w+)\"")
# Answers to what is no HTTP, and to defects: no call has them to describe.
OF_NO_CALL = {"http_invalid", "internal_error"}


def test_every_error_that_is_raised_is_in_the_catalogue_with_its_status() -> None:
    raised = {
        (int(status), code)
        for file in API.rglob("*.py")
        for status, code in RAISED.findall(file.read_text())
        if code not in OF_NO_CALL
    }
    assert len(raised) > 8
    missing = raised - {(kind.status, code) for code, kind in ERRORS.items()}
    assert not missing, "add them to error_catalogue.ERRORS, and to the calls that raise them"


def test_codes_of_one_status_are_one_answer() -> None:
    entries = documented("cluster_unavailable", "not_ready", "job_not_found")
    assert list(entries) == [404, 503]
    schema = entries[503]["content"][PROBLEM_MEDIA_TYPE]["schema"]
    assert schema["allOf"][1]["properties"]["code"]["enum"] == ["cluster_unavailable", "not_ready"]
    assert codes_of(entries) == ["job_not_found", "cluster_unavailable", "not_ready"]


def test_a_code_that_is_not_there_is_named() -> None:
    with pytest.raises(KeyError, match="no_such_code"):
        documented("no_such_code")
