"""A SplitJob as callers see it, whoever wrote it."""

from typing import Any

import pytest

from splitjob_api.job_response import JobState, job_response

REQUEST: dict[str, Any] = {
    "versionId": "song-1",
    "model": "htdemucs",
    "source": {"url": "https://example.com/song.wav"},
    "webhook": {"url": "https://example.com/hook"},
    "metadata": {"a": "b"},
}


def splitjob(request: dict[str, Any]) -> dict[str, Any]:
    return {
        "metadata": {"name": "one", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"request": request},
        "status": {"failure": {"code": "request_invalid", "message": "It is none."}},
    }


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"source": {"url": "https://example.com/a\u00a0b"}},
        {"webhook": {}},
        {"secretName": "../x", "shifts": 99, "later": "field"},
        {"versionId": "a version of an older schema"},
    ],
)
def test_what_can_be_read_is_shown_of_any_request(changed: dict[str, Any]) -> None:
    shown = job_response(splitjob({**REQUEST, **changed}))
    assert shown.version_id == {**REQUEST, **changed}["versionId"]
    assert (shown.ai_model, shown.metadata) == ("htdemucs", {"a": "b"})
    assert (shown.state, shown.priority) == (JobState.QUEUED, 0)


def test_a_request_that_says_nothing_is_shown_too() -> None:
    shown = job_response(splitjob({}))
    assert (shown.job_id, shown.version_id, shown.ai_model, shown.metadata) == ("one", "", "", {})


@pytest.mark.parametrize(
    ("succeeded", "told"), [("Unknown", (2, None)), ("False", (2, 61.5)), ("True", (2, 61.5))]
)
def test_a_job_that_has_ended_says_what_it_took(
    succeeded: str, told: tuple[int, float | None]
) -> None:
    job = splitjob(REQUEST)
    job["status"] |= {
        "conditions": [
            {
                "type": "Succeeded",
                "status": succeeded,
                "reason": "Completed" if succeeded == "True" else "WorkerLost",
                "message": "",
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            }
        ],
        "attempts": [{"number": 2, "jobName": "one-2"}],
        "usage": {"attempts": 2, "gpuSeconds": "61.5"},
    }
    shown = job_response(job)
    assert (shown.attempts, shown.gpu_seconds) == told
