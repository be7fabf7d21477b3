"""`sign`: a request signed by hand."""

import shutil
import subprocess
from pathlib import Path

import pytest
from tests.support.fake_service import (
    JOB_ID,
    FakeService,
    gives,
    sends,
)
from tests.support.service_commands import Run

from track_tree_audio.service.command import ExitStatus


@pytest.mark.parametrize(
    ("words", "target", "body"),
    [
        (["GET", "/jobs?status=running&version[a]={b}"], "GET /jobs?", b""),
        (["get", "/models"], "GET /models", b""),
        (["HEAD", "/models"], "HEAD /models", b""),
        (["DELETE", f"/jobs/{JOB_ID}"], f"DELETE /jobs/{JOB_ID}", b""),
        (["POST", f"/jobs/{JOB_ID}/retry"], f"POST /jobs/{JOB_ID}/retry", b""),
        (["POST", "/split", "--data", '@{"a": "it\'s $HOME\n"}'], "POST /split", None),
        (["POST", "/split", "--data-file", "body file.json"], "POST /split", b'{"a":\r\n"b"}\n'),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_the_line_that_sign_prints_can_be_pasted(
    run: Run,
    service: FakeService,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    words: list[str],
    target: str,
    body: bytes | None,
) -> None:
    if not shutil.which("curl"):
        pytest.skip("there is no curl on this machine")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "body file.json").write_bytes(b'{"a":\r\n"b"}\n')
    for what in ("GET /jobs", "GET /models", "HEAD /models", f"DELETE /jobs/{JOB_ID}"):
        service.on(what, gives({}) if "HEAD" not in what else sends(b"", 200, "text/plain"))
    for what in ("POST /split", f"POST /jobs/{JOB_ID}/retry"):
        service.on(what, gives({}))
    line = run("sign", *words).out
    assert line.count("\n") <= 2
    pasted = subprocess.run(
        ["bash", "-c", line], check=False, capture_output=True, text=True, cwd=tmp_path
    )
    assert pasted.returncode == 0, pasted.stdout + pasted.stderr
    sent, _, came = service.heard[-1]
    assert sent.startswith(target)
    assert came == (words[-1].encode() if body is None else body)


@pytest.mark.parametrize(
    "words",
    [
        ["GET", "jobs"],
        ["GET", "/jobs?versionId=song 42"],
        ["GET", "/jobs#x"],
        ["GET", "/jobs/ä"],
        ["DELETE", "/jobs/a", "--data", "{}"],
        ["POST", "/split", "--data-file", "missing"],
    ],
)
def test_sign_refuses_what_curl_would_send_otherwise(run: Run, words: list[str]) -> None:
    assert run("sign", *words).status == ExitStatus.USAGE


def test_sign_is_json_for_programs(run: Run, service: FakeService) -> None:
    said = run("sign", "GET", "/models", "--json").json
    assert said["url"] == f"{service.url}/models"
    assert set(said["headers"]) == {"X-Signature", "X-Timestamp"}
