"""`submit`: what it sends, and what it says."""

import io
import json
import sys
from pathlib import Path

import pytest
from tests.support.fake_service import (
    JOB_ID,
    FakeService,
    gives,
    problem,
)
from tests.support.service_commands import SONG, WEBHOOK, Run

from track_tree_audio.service.command import ExitStatus


def test_submit_prints_the_jobs_id_alone(run: Run, service: FakeService) -> None:
    service.on("POST /split", gives({"jobId": JOB_ID, "warnings": ["it expires soon"]}, 202))
    said = run(
        *("submit", SONG, "--model", "demo", "--stem", "vocals", "--remainder", "--format", "mp3"),
        *("--waveforms", "--metadata", "a=b=c", "--event", "failed", "--priority", "-5"),
    )
    assert (said.status, said.out) == (0, f"{JOB_ID}\n")
    assert "it expires soon" in said.err
    assert json.loads(service.heard[0][2]) == {
        "versionId": "My-Song",
        "audioUrl": SONG,
        "aiModel": "demo",
        "webhook": WEBHOOK,
        "stems": ["vocals"],
        "remainder": True,
        "format": "mp3",
        "waveforms": True,
        "metadata": {"a": "b=c"},
        "events": ["failed"],
        "priority": -5,
    }


def test_submit_asks_for_exact_stems(run: Run, service: FakeService) -> None:
    service.on("POST /split", gives({"jobId": JOB_ID}, 202))
    asked = ("--bit-depth", "24", "--clip-mode", "exact", "--residual-to", "residual")
    assert run("submit", SONG, "--model", "demo", *asked).status == 0
    body = json.loads(service.heard[0][2])
    assert (body["bitDepth"], body["clipMode"], body["residualTo"]) == (24, "exact", "residual")


def test_submit_sends_a_file_first(run: Run, service: FakeService, tmp_path: Path) -> None:
    song = tmp_path / "song 1.flac"
    song.write_bytes(b"fLaC")
    ticket = {"url": f"{service.url}/bucket/in", "headers": {}, "audioUrl": "https://b/in?sig=1"}
    service.on("POST /uploads", gives(ticket, 201))
    service.on("PUT /bucket/in", gives({}))
    service.on("POST /split", gives({"jobId": JOB_ID}, 200))
    said = run("submit", str(song), "--model", "demo", "--no-events", "--json")
    assert said.json == {"jobId": JOB_ID, "created": False}
    body = json.loads(service.heard[-1][2])
    assert (body["audioUrl"], body["versionId"], body["events"]) == (
        "https://b/in?sig=1",
        "song-1",
        [],
    )


def test_submit_takes_a_file_that_was_sent_before_by_its_address(
    run: Run, service: FakeService
) -> None:
    """For a second model, say; it need not be sent again."""
    service.on("POST /split", gives({"jobId": JOB_ID}, 202))
    address = f"s3://stems/_inputs/{'0' * 32}/My-Song.flac"
    assert run("submit", address, "--model", "demo").status == 0
    (asked,) = service.heard
    body = json.loads(asked[2])
    assert (body["audioUrl"], body["versionId"]) == (address, "My-Song")


def test_submit_sends_no_file_whose_stems_could_not_be_sent(
    run: Run, service: FakeService, tmp_path: Path
) -> None:
    (song := tmp_path / "song.flac").write_bytes(b"fLaC")
    (uploads := tmp_path / "uploads.json").write_text('{"manifest": "https://put.example.com/"}')
    said = run("submit", str(song), "--model", "demo", "--uploads", str(uploads))
    assert said.status == ExitStatus.USAGE
    assert "must be a URL" in said.err
    assert service.heard == []


@pytest.mark.parametrize("content", ["", "[]", "[" * 200_000])
def test_uploads_that_cannot_be_read_are_named(
    run: Run, service: FakeService, tmp_path: Path, content: str
) -> None:
    (uploads := tmp_path / "uploads.json").write_text(content)
    said = run("submit", SONG, "--model", "demo", "--uploads", str(uploads))
    assert said.status == ExitStatus.USAGE
    assert "JSON object" in said.err
    assert service.heard == []


def test_a_number_that_is_none_is_for_the_service_to_refuse(run: Run, service: FakeService) -> None:
    refused = problem(400, "json_invalid", detail="the body cannot be read: NaN is not JSON")
    service.on("POST /split", refused)
    said = run("submit", SONG, "--model", "demo", "--overlap", "nan")
    assert said.status == ExitStatus.REFUSED
    assert "NaN is not JSON" in said.err


def test_submit_reads_a_url_that_nobody_is_to_see(
    run: Run, service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.on("POST /split", gives({"jobId": JOB_ID}, 202))
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{SONG}\n"))
    assert run("submit", "-", "--model", "demo").status == ExitStatus.USAGE
    assert run("submit", "-", "--model", "demo", "--version-id", "v1").status == 0
    assert json.loads(service.heard[-1][2])["audioUrl"] == SONG


def test_a_service_without_uploads_has_no_such_call(
    run: Run, service: FakeService, tmp_path: Path
) -> None:
    (song := tmp_path / "song.wav").write_bytes(b"RIFF")
    service.on("POST /uploads", problem(404, "not_found"))
    assert run("submit", str(song), "--model", "demo").status == ExitStatus.NOT_FOUND


def test_what_is_wrong_with_a_field_is_said_once(run: Run, service: FakeService) -> None:
    sentence = "webhooks go to https URLs"
    wrong = {"field": "webhook", "code": "not_allowed", "message": sentence}
    refused = problem(422, "webhook_not_allowed", detail=sentence, errors=[wrong])
    service.on("POST /split", refused)
    said = run("submit", SONG, "--model", "demo")
    assert said.err == f"submit: webhook: {sentence} (422 webhook_not_allowed)\n"
