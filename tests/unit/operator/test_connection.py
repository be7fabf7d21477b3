"""How the operator finds and signs in to the API server from inside a pod."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from kubernetes.config import incluster_config

from splitjob_operator.adapters.kubernetes import connection

AUTHORITY = "-----BEGIN CERTIFICATE-----\n"

# As in a container that runs under a number: no line in passwd, no variable with a name.
NAMELESS = """
import os, pwd, sys

def unknown(uid):
    raise KeyError(f"getpwuid(): uid not found: {uid}")

pwd.getpwuid = unknown
"""


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files and variables that a kubelet gives a pod; returns the token's file."""
    token, authority = tmp_path / "token", tmp_path / "ca.crt"
    token.write_text("first-token\n")
    authority.write_text(AUTHORITY)
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(token))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(authority))
    return token


def test_the_token_of_the_service_account_is_handed_on_bare(account: Path) -> None:
    found = connection()
    assert found.server == "https://10.96.0.1:443"
    assert found.ca_path == str(account.with_name("ca.crt"))
    assert found.token == "first-token"


def test_a_token_that_was_replaced_is_read_anew(account: Path) -> None:
    connection()
    account.write_text("second-token")
    assert connection().token == "second-token"


@pytest.mark.slow
def test_kopf_starts_for_a_user_without_a_name() -> None:
    """Acceptance 69."""
    script = f"{NAMELESS}\nfrom kopf.cli import main\nmain(sys.argv[1:])"
    command = [sys.executable, "-c", script, "run", "--standalone", "-n", "none", "-m"]
    ran = subprocess.run(
        [*command, "splitjob_operator.runtime.kopf_app"],
        env={"PATH": os.environ["PATH"], "KUBECONFIG": "/nowhere", "DEMUCSSVC_TOKEN": ""},
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "No username set" not in ran.stderr
    assert "getpwuid" not in ran.stderr
    assert "cannot start" in ran.stderr  # it came as far as its settings, which say nothing
