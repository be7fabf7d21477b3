"""`verify-webhook`: whether a webhook is genuine."""

import io
import json
import sys
import time
from pathlib import Path

import pytest
from tests.support.fake_service import (
    TOKEN,
)
from tests.support.service_commands import Run

from splitjob.signing import Signer
from track_tree_audio.service.command import ExitStatus

BODY = b'{"event":"completed","jobId":"split-1"}'


def test_a_webhook_is_verified(run: Run, tmp_path: Path) -> None:
    now = int(time.time())
    sent = Signer(["an-older-one"]).webhook_headers("evt-1", BODY, now)
    (tmp_path / "body").write_bytes(BODY)
    lines = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
    (tmp_path / "headers").write_text(lines)
    words = ("verify-webhook", str(tmp_path / "body"))
    said = run(*words, "--headers", str(tmp_path / "headers"))
    assert (said.status, said.out) == (0, "genuine: completed of split-1, webhook-id evt-1\n")
    ours = [
        word for name in sent if name[0] == "X" for word in ("--header", f"{name}: {sent[name]}")
    ]
    assert run(*words, *ours, "--json").json == {
        "genuine": True,
        "eventId": None,
        "body": json.loads(BODY),
    }
    late = run(*words, *ours, "--at", str(now + 301), "--json")
    assert late.status == ExitStatus.NOT_LET_IN
    assert late.json["genuine"] is False
    assert "300 s" in late.err


@pytest.mark.parametrize(
    "words", [["missing"], ["--headers", "missing"], ["--header", "nothing"], ["--at", "received"]]
)
def test_what_cannot_be_verified(
    run: Run, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(BODY)))
    assert run("verify-webhook", *words).status == ExitStatus.USAGE


@pytest.mark.parametrize("moment", ["nan", "inf", "yesterday"])
def test_a_moment_that_no_clock_shows_makes_nothing_genuine(
    run: Run, capsys: pytest.CaptureFixture[str], moment: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        run("verify-webhook", "--at", moment)
    assert ended.value.code == ExitStatus.USAGE
    assert "neither a Unix time nor" in capsys.readouterr().err


def test_a_body_is_read_from_standard_input(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = Signer([TOKEN]).webhook_headers("evt-1", BODY, int(time.time()))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(BODY)))
    words = [word for name, value in sent.items() for word in ("--header", f"{name}: {value}")]
    assert run("verify-webhook", *words).status == 0
