"""Files that either client fetches and sends: whole or not at all."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from tests.support.client_caller import Caller
from tests.support.fake_service import (
    JOB_ID,
    FakeService,
    gives,
    hangs_up,
    job,
    problem,
    sends,
    stem,
)

from splitjob_client import (
    DownloadError,
    NotCompletedError,
    StemNotFoundError,
    UploadError,
)

CONTENT = b"RIFF" + bytes(300_000)
DIGEST = hashlib.sha256(CONTENT).hexdigest()


def with_stem(service: FakeService, digest: str = DIGEST) -> None:
    done = job("completed", result={"model": "demo", "stems": [stem("vocals", digest, 3)]})
    service.on(f"GET /jobs/{JOB_ID}", gives(done))
    url = {
        "url": f"{service.url}/bucket/vocals.wav?sig=secret",
        "expiresAt": "2026-01-01T00:00:00Z",
    }
    service.on(f"GET /jobs/{JOB_ID}/stems/vocals", gives(url))


def test_a_stem_is_fetched_whole_or_not_at_all(
    caller: Caller, service: FakeService, tmp_path: Path
) -> None:
    with_stem(service)

    def cut(request: Any) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(len(CONTENT)))
        request.end_headers()
        request.wfile.write(CONTENT[:1000])
        request.close_connection = True

    whole = sends(CONTENT, 200, "audio/wav")
    service.on("GET /bucket/vocals.wav", problem(503, "SlowDown", retry_after=0), cut, whole)
    path = caller.ask(service.url, "download", JOB_ID, "vocals", tmp_path / "new")
    assert path == tmp_path / "new" / "vocals.wav"
    assert path.read_bytes() == CONTENT
    assert [one.name for one in path.parent.iterdir()] == ["vocals.wav"]
    fetched = [headers for target, headers, _ in service.heard if "/bucket/" in target]
    assert len(fetched) == 3
    assert not any("x-signature" in headers for headers in fetched)


def test_a_stem_that_is_not_what_was_promised_is_not_kept(
    caller: Caller, service: FakeService, tmp_path: Path
) -> None:
    with_stem(service, digest="0" * 64)
    service.on("GET /bucket/vocals.wav", sends(CONTENT, 200, "audio/wav"))
    with pytest.raises(DownloadError, match="checksum"):
        caller.ask(service.url, "download", JOB_ID, "vocals", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_stem_that_cannot_be_had(caller: Caller, service: FakeService, tmp_path: Path) -> None:
    with_stem(service)
    with pytest.raises(StemNotFoundError, match="has no stem drums; it has: vocals"):
        caller.ask(service.url, "download", JOB_ID, "drums", tmp_path)
    service.on("GET /bucket/vocals.wav", problem(404, "NoSuchKey"))
    with pytest.raises(StemNotFoundError, match="does not hold the file any more"):
        caller.ask(service.url, "download", JOB_ID, "vocals", tmp_path)
    service.on("GET /bucket/vocals.wav", problem(403, "AccessDenied"))
    with pytest.raises(DownloadError, match="HTTP 403") as raised:
        caller.ask(service.url, "download", JOB_ID, "vocals", tmp_path)
    assert "secret" not in str(raised.value)
    (tmp_path / "file").touch()
    service.on("GET /bucket/vocals.wav", sends(CONTENT, 200, "audio/wav"))
    with pytest.raises(DownloadError, match="cannot be written"):
        caller.ask(service.url, "download", JOB_ID, "vocals", tmp_path / "file")
    service.on(f"GET /jobs/{JOB_ID}", gives(job("failed")))
    with pytest.raises(NotCompletedError, match="no stems: it is failed"):
        caller.ask(service.url, "download", JOB_ID, "vocals", tmp_path)


@pytest.mark.parametrize("name", ["../vocals", "a/b", ""])
def test_a_stem_cannot_be_written_elsewhere(
    caller: Caller, service: FakeService, tmp_path: Path, name: str
) -> None:
    done = job("completed", result={"stems": [{**stem("vocals", DIGEST, 3), "type": name}]})
    service.on(f"GET /jobs/{JOB_ID}", gives(done))
    with pytest.raises(DownloadError, match="cannot be a file's name"):
        caller.ask(service.url, "download", JOB_ID, name, tmp_path)


def test_a_waveform_is_fetched_and_cannot_be_written_elsewhere(
    caller: Caller, service: FakeService, tmp_path: Path
) -> None:
    path = f"GET /jobs/{JOB_ID}/waveforms/mixture"
    service.on(path, problem(503, "storage_unavailable", retry_after=0), gives({"version": 2}))
    file = caller.ask(service.url, "download_waveform", JOB_ID, "mixture", tmp_path)
    assert file == tmp_path / "mixture.waveform.json"
    assert file.read_bytes() == caller.ask(service.url, "waveform", JOB_ID, "mixture")
    service.on(f"GET /jobs/{JOB_ID}/waveforms/..%2Fx", gives({}))
    with pytest.raises(DownloadError, match="cannot be that of a file"):
        caller.ask(service.url, "download_waveform", JOB_ID, "../x", tmp_path)
    service.on(f"GET /jobs/{JOB_ID}/manifest", gives({"status": "completed"}))
    manifest = caller.ask(service.url, "manifest", JOB_ID)
    assert json.loads(manifest) == {"status": "completed"}


def test_a_file_is_sent_with_the_headers_that_its_url_asks_for(
    caller: Caller, service: FakeService, tmp_path: Path
) -> None:
    song = tmp_path / "my song.wav"
    song.write_bytes(CONTENT)
    ticket = {
        "url": f"{service.url}/bucket/in.wav?sig=secret",
        "headers": {"X-Amz-Storage-Class": "STANDARD", "Content-Length": "1"},
        "audioUrl": "s3://in.wav",
        "expiresAt": "2026-01-01T00:00:00Z",
    }
    service.on("POST /uploads", gives(ticket, 201))
    service.on("PUT /bucket/in.wav", problem(500, "InternalError"), gives({}))
    with pytest.raises(UploadError, match="HTTP 500"):
        caller.ask(service.url, "upload", song)
    service.on("PUT /bucket/in.wav", problem(503, "SlowDown"), hangs_up, gives({}))
    assert caller.ask(service.url, "upload", song) == "s3://in.wav"
    asked = next(body for target, _, body in service.heard if target == "POST /uploads")
    assert json.loads(asked) == {"filename": "my song.wav", "size": len(CONTENT)}
    _, headers, body = service.heard[-1]
    assert body == CONTENT
    assert headers["x-amz-storage-class"] == "STANDARD"
    assert headers["content-length"] == str(len(CONTENT))
    assert "transfer-encoding" not in headers
    assert "x-signature" not in headers


def test_a_file_whose_answer_was_lost_is_there_already(
    caller: Caller, service: FakeService, tmp_path: Path
) -> None:
    """It is not to be replaced, so the second try is told that it is there."""
    song = tmp_path / "song.wav"
    song.write_bytes(CONTENT * 3)
    ticket = {
        "url": f"{service.url}/bucket/in.wav?sig=secret",
        "headers": {"If-None-Match": "*"},
        "audioUrl": "s3://in.wav",
    }
    service.on("POST /uploads", gives(ticket, 201))
    service.on("PUT /bucket/in.wav", hangs_up, problem(412, "PreconditionFailed"))
    told: list[int] = []
    assert caller.ask(service.url, "upload", song, told.append) == "s3://in.wav"
    assert service.heard[-1][1]["if-none-match"] == "*"
    assert told[-1] == song.stat().st_size
    assert told.count(told[-1]) == 2, "it was told of both tries"


@pytest.mark.parametrize("name", ["missing.wav", "empty.wav", "folder"])
def test_a_file_that_cannot_be_sent(
    caller: Caller, service: FakeService, tmp_path: Path, name: str
) -> None:
    (tmp_path / "empty.wav").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(UploadError):
        caller.ask(service.url, "upload", tmp_path / name)
    assert service.heard == []
