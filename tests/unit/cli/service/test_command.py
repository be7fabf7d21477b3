"""What all commands that call a service share: exit statuses, settings, tokens."""

from pathlib import Path
from typing import Any

import pytest
from tests.support.fake_service import (
    JOB_ID,
    TOKEN,
    FakeService,
    gives,
    problem,
    sends,
)
from tests.support.ports import free_port
from tests.support.service_commands import SONG, Run

from track_tree_audio.service.command import ExitStatus


@pytest.mark.parametrize(
    "words",
    [
        ["job", JOB_ID],
        ["job", JOB_ID, "--watch"],
        ["cancel", JOB_ID],
        ["retry", JOB_ID],
        ["redeliver", JOB_ID],
        ["erase", JOB_ID],
        ["download", JOB_ID],
        ["download", JOB_ID, "vocals"],
    ],
    ids=" ".join,
)
def test_every_command_says_by_its_exit_status_that_there_is_no_such_job(
    run: Run, service: FakeService, words: list[str]
) -> None:
    below = {"retry": "/retry", "redeliver": "/redeliver", "erase": "/data"}.get(words[0], "")
    for method in ("GET", "POST", "DELETE"):
        for path in (below, "/events"):
            service.on(f"{method} /jobs/{JOB_ID}{path}", problem(404, "job_not_found"))
    said = run(*words)
    assert (said.status, said.out) == (ExitStatus.NOT_FOUND, "")
    assert "job_not_found" in said.err


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (problem(401, "signature_invalid"), ExitStatus.NOT_LET_IN),
        (problem(403, "forbidden"), ExitStatus.NOT_LET_IN),
        (problem(404, "job_not_found"), ExitStatus.NOT_FOUND),
        (problem(410, "erased"), ExitStatus.NOT_FOUND),
        (problem(422, "request_invalid"), ExitStatus.REFUSED),
        (problem(409, "not_completed"), ExitStatus.REFUSED),
        (problem(501, "storage_not_configured"), ExitStatus.REFUSED),
        (problem(429, "queue_full", retry_after=999), ExitStatus.TRY_LATER),
        (problem(503, "not_ready", retry_after=999), ExitStatus.TRY_LATER),
        (problem(500, "internal_error"), ExitStatus.OTHER),
        (sends(b"<html>", 200, "text/html"), ExitStatus.OTHER),
    ],
)
def test_what_goes_wrong_is_one_line_and_an_exit_status(
    run: Run, service: FakeService, answer: Any, status: ExitStatus
) -> None:
    service.on(f"GET /jobs/{JOB_ID}", answer)
    said = run("job", JOB_ID)
    assert (said.status, said.out) == (status, "")
    assert said.err.startswith("job: ")
    assert said.err.count("\n") == 1


@pytest.mark.parametrize("name", ["API_URL", "DEMUCSSVC_TOKEN", "WEBHOOK"])
def test_a_setting_that_is_missing_is_named(
    run: Run, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.delenv(name)
    said = run("submit", SONG, "--model", "demo")
    assert said.status == ExitStatus.USAGE
    assert name in said.err


def test_tokens_are_taken_from_files_and_options_before_the_environment(
    run: Run, service: FakeService, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    service.on("GET /models", gives({"models": []}))
    monkeypatch.setenv("API_URL", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("DEMUCSSVC_TOKEN", "wrong")
    signing, cluster = tmp_path / "token", tmp_path / "cluster"
    signing.write_text(f"{TOKEN}\n")
    cluster.write_text("of-the-cluster\n")
    at = ("--url", service.url)
    assert run("models", *at, "--token-file", str(signing)).status == 0
    assert run("models", *at, "--kubernetes-token-file", str(cluster)).status == 0
    assert service.heard[-1][1]["authorization"] == "Bearer of-the-cluster"
    both = ("--token-file", str(signing), "--kubernetes-token-file", str(cluster))
    assert run("models", *at, *both).status == ExitStatus.USAGE
    assert run("models", *at, "--token-file", "missing").status == ExitStatus.USAGE
