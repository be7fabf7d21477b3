"""`cancel`, `retry`, `redeliver` and `erase`."""

from typing import Any

import pytest
from tests.support.fake_service import (
    JOB_ID,
    FakeService,
    gives,
    job,
)
from tests.support.service_commands import Run


@pytest.mark.parametrize(
    ("words", "target", "answer", "shown"),
    [
        (["cancel", JOB_ID], f"DELETE /jobs/{JOB_ID}", job("running"), "is being canceled"),
        (["cancel", JOB_ID], f"DELETE /jobs/{JOB_ID}", job("canceled"), "canceled"),
        (["cancel", JOB_ID], f"DELETE /jobs/{JOB_ID}", job("completed"), "finished already"),
        (["retry", JOB_ID], f"POST /jobs/{JOB_ID}/retry", {"jobId": "split-2"}, "split-2\n"),
        (["redeliver", JOB_ID], f"POST /jobs/{JOB_ID}/redeliver", job("failed"), "sent again"),
        (
            ["erase", JOB_ID],
            f"DELETE /jobs/{JOB_ID}/data",
            job("failed", erased={"at": "2026-01-01T00:00:00Z", "objects": 5, "files": ["a.wav"]}),
            "erased, 5 files",
        ),
        (["erase", JOB_ID], f"DELETE /jobs/{JOB_ID}/data", job("failed"), "is being erased"),
    ],
)
def test_what_can_be_done_to_a_job(
    run: Run,
    service: FakeService,
    words: list[str],
    target: str,
    answer: dict[str, Any],
    shown: str,
) -> None:
    service.on(target, gives(answer, 202))
    said = run(*words)
    assert said.status == 0
    assert shown in said.out
    assert run(*words, "--json").json == answer
