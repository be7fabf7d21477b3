"""What kopf loads: it starts without a name for its user, and says what it cannot start with."""

import os
import subprocess
import sys

import pytest
from tests.support.waiting import patience

# As in a container that runs under a number: no line in passwd, no variable with a name.
NAMELESS = """
import os, pwd, sys

def unknown(uid):
    raise KeyError(f"getpwuid(): uid not found: {uid}")

pwd.getpwuid = unknown
"""


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
        timeout=patience(60),
    )
    assert "No username set" not in ran.stderr
    assert "getpwuid" not in ran.stderr
    assert "cannot start" in ran.stderr  # it came as far as its settings, which say nothing
