"""`kubectl exec` on the process node."""

import os
import select
import subprocess
from typing import Any

from tests.support.waiting import patience


def run(pods: Any, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    kubectl = pods.cluster.cluster.programs["kubectl"]
    return subprocess.run(
        [kubectl, "exec", "-n", pods.namespace, *arguments],
        env=pods.cluster.cluster.environment(),
        input=text,
        capture_output=True,
        text=True,
        timeout=patience(20),
        check=False,
    )


def test_a_command_in_a_container(pods: Any) -> None:
    """It sees the container's environment; its output, input and exit code come through."""
    pods.run("box", "sleep", "60", env=[{"name": "WORD", "value": "secret"}])
    pods.wait_until_ready("box")

    found = run(pods, "box", "--", "sh", "-c", "echo $WORD; echo wrong >&2; exit 3")
    assert (found.stdout, found.returncode) == ("secret\n", 3)
    assert found.stderr.startswith("wrong\n")
    assert run(pods, "-i", "box", "--", "cat", text="given\n").stdout == "given\n"
    missing = run(pods, "box", "--", "/no/such")
    assert missing.returncode != 0
    assert "No such file" in missing.stderr


def test_exec_gives_a_terminal(pods: Any) -> None:
    """What is typed is echoed, and Ctrl-C reaches the command."""
    pods.run("box", "sleep", "60")
    pods.wait_until_ready("box")
    kubectl = pods.cluster.cluster.programs["kubectl"]
    ours, theirs = os.openpty()
    with subprocess.Popen(
        [kubectl, "exec", "-it", "-n", pods.namespace, "box", "--", "sh", "-c", "tty; cat"],
        env=pods.cluster.cluster.environment(),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ) as session:
        os.close(theirs)
        seen = read_until(ours, "/dev/pts/")
        os.write(ours, b"typed\n")
        seen += read_until(ours, "typed\r\ntyped")
        os.write(ours, b"\x03")
        assert session.wait(patience(10)) == 130
    os.close(ours)


def read_until(terminal: int, text: str) -> str:
    seen = ""
    while text not in seen:
        ready, _, _ = select.select([terminal], [], [], 10)
        assert ready, seen
        seen += os.read(terminal, 4096).decode()
    return seen


def test_an_exec_session_ends_with_its_container(pods: Any) -> None:
    pods.run("short", "sleep", "6")
    pods.wait_until_ready("short")

    assert run(pods, "short", "--", "sleep", "50").returncode == 137
    again = run(pods, "short", "--", "true")
    assert again.returncode != 0
    assert "cannot exec into a container in a completed pod" in again.stderr
