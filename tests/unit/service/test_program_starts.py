"""Each program as a process, in a container's bare environment: it starts, or says why it does not.

No HOME, no user name, nobody's line in passwd, and the libraries of a driver on the search path.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.waiting import patience

pytestmark = pytest.mark.slow

NAMELESS = """
import pwd

def unknown(uid):
    raise KeyError(f"getpwuid(): uid not found: {uid}")

pwd.getpwuid = unknown
"""
SECRET = "a-token-that-must-not-show"
COMMANDS = {
    "api": [sys.executable, "-m", "splitjob_api"],
    "operator": [
        *(str(Path(sys.executable).parent / "kopf"), "run", "--standalone", "--namespace=none"),
        *("-m", "splitjob_operator.runtime.kopf_app"),
    ],
    "worker": [sys.executable, "-m", "splitjob_worker"],
}


def ended(
    program: str, folder: Path, environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, as a user without a name."""
    (folder / "sitecustomize.py").write_text(NAMELESS)
    bare = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(folder),
        "LD_LIBRARY_PATH": "/usr/local/nvidia/lib64:/usr/local/cuda/lib64",
    }
    return subprocess.run(
        COMMANDS[program],
        env=bare | environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=patience(120),
    )


def said(ran: subprocess.CompletedProcess[str]) -> list[str]:
    """Return the messages of its log; every line must be JSON."""
    lines = [json.loads(line) for line in ran.stderr.splitlines() if line.startswith("{")]
    return [line["message"] for line in lines if line["level"] == "error"]


WRONG = {
    "MODELS": "no-such-model",
    "SOURCE_ALLOWED_NETWORKS": "10.0.0.0/99",
    "PORT": "eighty",
}


@pytest.mark.parametrize("program", ["api", "operator"])
def test_each_wrong_setting_has_its_line(program: str, tmp_path: Path) -> None:
    token = {"DEMUCSSVC_TOKEN": f"{SECRET},,{SECRET}", "SECRET_NAME": "my-keys"}
    ran = ended(program, tmp_path, {**WRONG, **token, "WORKER_IMAGE": "w:1"})
    assert ran.returncode == 2
    messages = said(ran)
    assert [message.split(" (")[0] for message in messages] == [
        f"cannot start: {name}"
        for name in ("PORT", "DEMUCSSVC_TOKEN", "SOURCE_ALLOWED_NETWORKS", "MODELS")
    ]
    assert "of the Secret my-keys" in messages[1]
    assert SECRET not in ran.stdout + ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize("program", ["api", "operator"])
def test_an_empty_token_ends_it_in_the_last_line_of_the_log(program: str, tmp_path: Path) -> None:
    """Acceptance 9: the last line is what `kubectl describe pod` shows."""
    ran = ended(program, tmp_path, {"DEMUCSSVC_TOKEN": "\n", "WORKER_IMAGE": "w:1"})
    assert ran.returncode == 2
    last = json.loads(ran.stderr.splitlines()[-1])
    assert last["message"].startswith("cannot start: DEMUCSSVC_TOKEN (key DEMUCSSVC_TOKEN of the")
    assert "is empty. Set it to the secret shared with the callers" in last["message"]


@pytest.mark.parametrize("program", ["api", "operator"])
def test_without_a_cluster_it_says_so(program: str, tmp_path: Path) -> None:
    ran = ended(program, tmp_path, {"DEMUCSSVC_TOKEN": SECRET, "WORKER_IMAGE": "w:1"})
    assert ran.returncode == 2
    (message,) = said(ran)
    assert "not known" in message
    assert "Traceback" not in ran.stderr


def test_the_worker_says_what_it_was_not_told(tmp_path: Path) -> None:
    message = tmp_path / "termination-message"
    ran = ended("worker", tmp_path, {"TERMINATION_MESSAGE_PATH": str(message)})
    assert ran.returncode not in {0, 1}
    assert "worker_config" in message.read_text()
    assert "SPLIT_REQUEST" in message.read_text()
    assert "Traceback" not in ran.stderr


def test_the_worker_says_what_is_wrong_with_the_bucket(tmp_path: Path) -> None:
    message = tmp_path / "termination-message"
    request = {
        "versionId": "v",
        "model": "demo",
        "source": {"url": "http://127.0.0.1:9/a.wav"},
        "webhook": {"url": "http://127.0.0.1:9/hook"},
    }
    environment = {
        "TERMINATION_MESSAGE_PATH": str(message),
        "SPLIT_REQUEST": json.dumps(request),
        "JOB_ID": "one",
        "JOB_UID": "u",
        "SCRATCH_DIR": str(tmp_path),
        "DEMUCSSVC_TOKEN": f"{SECRET}\n",
        "API_WEBHOOK_URL_ALLOWLIST": "http://127.0.0.1:9/hook",
        "S3_BUCKET": "stems",
        "S3_ENDPOINT": "minio:9000",
        "S3_ACCESS_KEY_ID": SECRET,
    }
    ended("worker", tmp_path, environment)
    text = message.read_text()
    assert "worker_config" in text
    assert "S3_ENDPOINT (chart value storage.endpoint): must be a URL" in text
    assert SECRET not in text
