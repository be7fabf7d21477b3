"""Nothing of a cluster survives its owner: the supervisor, with real processes."""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from tests.support.waiting import eventually, patience

from splitjob_local.processes.supervised import (
    ProcessError,
    Processes,
    ProcessSpec,
    clean_environment,
)

LINUX_ONLY = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has subreapers")

# A process of a cluster, with a child in a session of its own and one whose parent is gone.
STUBBORN = """
trap '' TERM
setsid sleep {seconds} &
(setsid sleep {seconds} &)
sleep {seconds}
"""


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    started = Processes(tmp_path / "cluster")
    yield started
    started.close()


def shell(script: str, name: str = "shell", grace: float = 0.0) -> ProcessSpec:
    return ProcessSpec(name, ("/bin/sh", "-c", script), clean_environment(), grace)


def sleepers(seconds: str) -> list[psutil.Process]:
    command = ["sleep", seconds]
    return [p for p in psutil.process_iter(["cmdline"]) if p.info["cmdline"] == command]


def test_output_exit_codes_and_restarts(processes: Processes) -> None:
    processes.start(shell("echo hello; exit 3"))
    eventually(lambda: processes.exit_code("shell") == 3)

    assert processes.last_words("shell") == "hello"
    assert processes.ended() == ["shell"]
    with pytest.raises(ProcessError, match="shell ended with status 3:\nhello"):
        processes.check("shell")

    processes.restart("shell")
    eventually(lambda: processes.last_words("shell") == "hello\nhello")


def test_a_signal_ends_a_process(processes: Processes) -> None:
    processes.start(shell("sleep 1000"))

    with pytest.raises(ProcessError, match="running already"):
        processes.start(shell("sleep 1000"))
    assert processes.stop("shell", signal.SIGKILL) == -signal.SIGKILL


def test_a_program_that_is_not_there(processes: Processes) -> None:
    with pytest.raises(ProcessError, match="FileNotFoundError"):
        processes.start(ProcessSpec("nothing", ("/no/such/program",), {}))


def test_a_grace_lets_a_process_end_by_itself(tmp_path: Path) -> None:
    processes = Processes(tmp_path / "cluster")
    said, ready = tmp_path / "said", tmp_path / "ready"
    trap = f"trap 'echo bye > {said}; exit' TERM; touch {ready}"
    processes.start(shell(f"{trap}; while :; do sleep 0.05; done", grace=5.0))
    eventually(ready.exists)

    processes.close()

    assert said.read_text() == "bye\n"


@LINUX_ONLY
def test_closing_ends_every_descendant_and_deletes_the_folder(tmp_path: Path) -> None:
    seconds = "1000.25"
    processes = Processes(tmp_path / "cluster")
    processes.start(shell(STUBBORN.format(seconds=seconds), grace=0.3))
    eventually(lambda: len(sleepers(seconds)) == 3)

    processes.close()

    assert not sleepers(seconds)
    assert not (tmp_path / "cluster").exists()


OWNER = """
    import sys, time
    from pathlib import Path
    from splitjob_local.processes.supervised import Processes, ProcessSpec, clean_environment
    processes = Processes(Path(sys.argv[1]))
    command = ("/bin/sh", "-c", sys.argv[2])
    processes.start(ProcessSpec("shell", command, clean_environment(), grace=0.3))
    print(processes._supervisor.pid, flush=True)
    time.sleep(1000)
"""


def start_owner(folder: Path, seconds: str) -> tuple[subprocess.Popen[str], int]:
    owner = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(OWNER), folder, STUBBORN.format(seconds=seconds)],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert owner.stdout is not None
    supervisor = int(owner.stdout.readline())
    eventually(lambda: len(sleepers(seconds)) == 3)
    return owner, supervisor


@LINUX_ONLY
def test_nothing_survives_kill_9_of_the_owner_and_its_process_group(tmp_path: Path) -> None:
    seconds, folder = "1000.5", tmp_path / "cluster"
    owner, _ = start_owner(folder, seconds)

    os.killpg(owner.pid, signal.SIGKILL)

    eventually(lambda: not folder.exists() and not sleepers(seconds))
    owner.communicate()


@LINUX_ONLY
def test_processes_die_with_a_killed_supervisor(tmp_path: Path) -> None:
    """What the kernel can still do then; a grandchild's own parent has to ask for the same."""
    folder = tmp_path / "cluster"
    owner, supervisor = start_owner(folder, "1000.75")
    shells = [child for child in psutil.Process(supervisor).children() if "sh" in child.name()]

    os.kill(supervisor, signal.SIGKILL)

    _, alive = psutil.wait_procs(shells, timeout=patience(10))
    assert shells
    assert not alive
    owner.kill()
    owner.communicate()
    for process in sleepers("1000.75"):
        process.kill()


def test_waiting_ends_when_what_is_waited_for_is_so(processes: Processes, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    processes.start(shell(f"sleep 0.2; touch {ready}; sleep 60"))

    processes.wait_until(ready.exists, 60, "it is not ready", "shell")

    assert ready.exists()


def test_waiting_for_a_process_that_ended_says_how_it_ended(processes: Processes) -> None:
    processes.start(shell("echo no disk; exit 4"))

    with pytest.raises(ProcessError, match="shell ended with status 4:\nno disk"):
        processes.wait_until(lambda: False, 60, "it is not ready", "shell")


def test_waiting_too_long_says_for_what_with_the_end_of_the_log(processes: Processes) -> None:
    processes.start(shell("echo still busy; sleep 60"))
    eventually(lambda: processes.last_words("shell") == "still busy")

    with pytest.raises(ProcessError, match=r"it is not ready after 0\.1 s:\nstill busy"):
        processes.wait_until(lambda: False, 0.1, "it is not ready", "shell")
