"""The runbook against the code: an entry for each way a job can fail, wait or stay unheard."""

import re
from pathlib import Path

import pytest

from splitjob.conditions import Reason
from splitjob.errors import ErrorCode, reason_of, retry_rule
from splitjob_kube.preconditions import UnreadyReason

PAGE = (Path(__file__).parents[2] / "docs" / "runbook.md").read_text()
TIMES = {0: "no", 1: "once", 2: "twice", 5: "five times"}
ENTRIES = dict(re.findall(r"^### `(\w+)`\n(.*?)(?=^##)", PAGE, re.MULTILINE | re.DOTALL))


def test_there_is_an_entry_for_every_code_and_for_no_other() -> None:
    assert set(ENTRIES) == {code.value for code in ErrorCode}


@pytest.mark.parametrize("code", ErrorCode)
def test_an_entry_says_what_the_code_does(code: ErrorCode) -> None:
    times = TIMES[retry_rule(code).attempts]
    assert f"Reason `{reason_of(code)}`. Tried again: **{times}**" in ENTRIES[code]
    assert ("worker.memoryRetry" in ENTRIES[code]) == retry_rule(code).more_memory


@pytest.mark.parametrize("code", ErrorCode)
def test_an_entry_says_how_to_see_it_and_what_to_do(code: ErrorCode) -> None:
    for part in ("- **See**: ", "- **Do**: "):
        assert len(ENTRIES[code].split(part)) == 2


@pytest.mark.parametrize("reason", [*Reason, *UnreadyReason])
def test_every_other_reason_is_explained(reason: Reason | UnreadyReason) -> None:
    assert f"`{reason}`" in PAGE
