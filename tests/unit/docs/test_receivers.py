"""The receivers in docs/receivers/ are run, and take and refuse what they should."""

import base64
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from tests.support.ports import free_port
from tests.support.waiting import eventually, patience
from tests.support.web import Request, web_server

from splitjob.signing import Signer
from track_tree_audio import main as cli
from track_tree_audio.service.command import ExitStatus

RECEIVERS = Path(__file__).parents[3] / "docs" / "receivers"
PAGE = RECEIVERS.parent / "webhooks.md"
NEW, OLD = "a-new-token", "whsec_" + base64.b64encode(b"an-old-key").decode()
TOKENS = f"{NEW}, {OLD}"
LANGUAGES = {"python": "", "node": "node", "go": "go", "shell": "jq"}


@dataclass
class Running:
    """One receiver."""

    url: str
    output: Path
    kept: Path

    def post(self, body: bytes, headers: dict[str, str]) -> int:
        wait = patience(10)
        return httpx.post(self.url, content=body, headers=headers, timeout=wait).status_code

    @property
    def told(self) -> list[str]:
        return self.output.read_text().splitlines()


def event(job_id: str) -> bytes:
    return f'{{"event":"completed","jobId":"{job_id}","metadata":{{}}}}'.encode()


def headers(token: str, body: bytes, event_id: str, ago: int = 0) -> dict[str, str]:
    return Signer([token]).webhook_headers(event_id, body, int(time.time()) - ago)


@pytest.fixture(scope="module", params=LANGUAGES)
def receiver(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    needed = LANGUAGES[request.param]
    if needed and not shutil.which(needed):
        pytest.skip(f"there is no {needed} on this machine")
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "shell":
        with shell(folder) as running:
            yield running
        return
    with serving(command(request.param, folder), folder) as running:
        yield running


def command(language: str, folder: Path) -> list[str]:
    if language == "python":
        return [sys.executable, str(RECEIVERS / "receiver.py")]
    if language == "node":
        return ["node", str(RECEIVERS / "receiver.mjs")]
    program = folder / "receiver"
    subprocess.run(
        ["go", "build", "-o", str(program), str(RECEIVERS / "receiver.go")],
        check=True,
        env={**os.environ, "GOFLAGS": "", "GO111MODULE": "off", "GOTOOLCHAIN": "local"},
    )
    return [str(program)]


@contextmanager
def serving(words: list[str], folder: Path) -> Iterator[Running]:
    """Run a receiver that is a server."""
    port = free_port()
    output, kept = folder / "output", folder / "kept"
    own = {"DEMUCSSVC_TOKEN": TOKENS, "PORT": str(port), "KEEP_DIR": str(kept)}
    environment = {**os.environ, **own}
    with output.open("wb") as out:
        process = subprocess.Popen(words, env=environment, stdout=out)
    running = Running(f"http://127.0.0.1:{port}/hooks", output, kept)
    try:
        eventually(lambda: running.post(b"{}", {}) == 401)
        yield running
    finally:
        process.terminate()
        process.wait(patience(20))


@contextmanager
def shell(folder: Path) -> Iterator[Running]:
    """Run the one in shell as a web server does by RFC 3875."""
    output, handled, kept = (folder / name for name in ("output", "handled", "kept"))
    handled.mkdir()
    output.touch()

    def cgi(request: Request) -> None:
        given = {
            f"HTTP_{name.upper().replace('-', '_')}": value
            for name, value in request.headers.items()
        }
        with output.open("ab") as told:
            ran = subprocess.run(
                ["sh", str(RECEIVERS / "receiver.sh")],
                check=True,
                input=request.body,
                stdout=subprocess.PIPE,
                stderr=told,
                env={
                    **given,
                    "PATH": os.environ["PATH"],
                    "CONTENT_LENGTH": str(len(request.body)),
                    "DEMUCSSVC_TOKEN": TOKENS,
                    "HANDLED_DIR": str(handled),
                    "KEEP_DIR": str(kept),
                },
            )
        status = int(ran.stdout.decode().removeprefix("Status: ").split()[0])
        request.send_response(status)
        request.send_header("Content-Length", "0")
        request.end_headers()

    with web_server(otherwise=cgi) as web:
        yield Running(f"{web.url}/hooks", output, kept)


def test_an_event_is_taken_and_a_repeat_is_dropped(receiver: Running) -> None:
    body = event("split-one")
    assert receiver.post(body, headers(NEW, body, "evt-one")) == 204
    assert receiver.post(body, headers(NEW, body, "evt-one", ago=2)) == 204
    assert receiver.told.count("completed split-one") == 1


def test_a_token_that_a_rotation_is_about_to_remove_is_taken(receiver: Running) -> None:
    body = event("split-old")
    assert receiver.post(body, headers(OLD, body, "evt-old")) == 204
    assert "completed split-old" in receiver.told


@pytest.mark.parametrize("case", ["other token", "stale", "ahead", "body", "no headers"])
def test_what_is_not_genuine_is_refused(receiver: Running, case: str) -> None:
    body = event("split-forged")
    sent = {
        "other token": headers("another", body, "evt"),
        "stale": headers(NEW, body, "evt", ago=310),
        "ahead": headers(NEW, body, "evt", ago=-310),
        "body": headers(NEW, body + b" ", "evt"),
        "no headers": {},
    }[case]
    assert receiver.post(body, sent) == 401
    assert "completed split-forged" not in receiver.told


def test_a_body_without_bounds_is_refused(receiver: Running) -> None:
    body = event("split-large") + b" " * 1024 * 1024
    with suppress(httpx.TransportError):  # it may hang up before all of it was sent
        assert receiver.post(body, headers(NEW, body, "evt-large")) == 413
    assert "completed split-large" not in receiver.told


def test_a_body_that_parsing_and_writing_again_would_change_is_taken(receiver: Running) -> None:
    body = b'{ "event":"failed",\t"jobId":"split-spaces","error":"Gr\\u00f6\xc3\x9fe" }'
    assert receiver.post(body, headers(NEW, body, "evt-spaces")) == 204
    assert "failed split-spaces" in receiver.told


def test_what_is_kept_can_be_verified_by_the_command(
    receiver: Running, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DEMUCSSVC_TOKEN", TOKENS)

    def verify(name: str) -> int:
        file = receiver.kept / name
        words = (f"{file}.json", "--headers", f"{file}.headers", "--at", "received")
        return cli.main(("verify-webhook", *words))

    body = event("split-kept")
    assert receiver.post(body, headers(NEW, body, "evt-kept")) == 204
    assert verify("split-kept.completed") == ExitStatus.DONE
    assert capsys.readouterr().out == "genuine: completed of split-kept, webhook-id evt-kept\n"
    forged = event("split-kept-not")
    assert receiver.post(forged, headers("another", forged, "evt-kept")) == 401
    assert (receiver.kept / "refused.json").read_bytes() == forged
    assert verify("refused") == ExitStatus.NOT_LET_IN
    assert "none of the tokens" in capsys.readouterr().err


def test_a_webhook_is_kept_and_verified_as_the_page_says(tmp_path: Path) -> None:
    """Every command of the page, on a port of ours."""
    receive, verify = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    (tmp_path / "docs").symlink_to(PAGE.parent)
    port = free_port()
    environment = {**os.environ, "DEMUCSSVC_TOKEN": NEW, "JOB": "split-1"}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    # In the foreground, so that what is ended is the receiver and no shell around it.
    receive = (
        receive.strip()
        .removesuffix("&")
        .replace("8080", str(port))
        .replace("python", "exec python", 1)
    )
    process = subprocess.Popen(["sh", "-c", receive], cwd=tmp_path, env=environment)
    try:
        body = event("split-1")
        running = Running(f"http://127.0.0.1:{port}/hooks", tmp_path, tmp_path / "kept")
        eventually(lambda: running.post(body, headers(NEW, body, "evt-1")) == 204)
    finally:
        process.terminate()
        process.wait(patience(20))
    ran = subprocess.run(
        ["sh", "-c", verify], check=True, stdout=subprocess.PIPE, cwd=tmp_path, env=environment
    )
    assert ran.stdout == b"genuine: completed of split-1, webhook-id evt-1\n"


def test_every_receiver_is_linked_on_the_page() -> None:
    text = PAGE.read_text()
    assert all(f"(receivers/{file.name})" in text for file in RECEIVERS.iterdir() if file.is_file())
