"""The client of the supervisor: starts it, and has it start, signal and end processes."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

END_SECONDS = 40.0
POLL_SECONDS = 0.05


class ProcessError(Exception):
    """A process of the cluster could not be started, or has ended; the message says why."""


@dataclass(frozen=True)
class ProcessSpec:
    """A process to run: command, environment, and seconds of grace between SIGTERM and SIGKILL."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    grace: float = 0.0


class Processes:
    """The processes of one cluster; they end when this object is closed or its process dies.

    Args:
        folder: everything of the cluster on disk.
        held: locked files that stay open until the last process has ended.

    Attributes:
        folder: everything of the cluster on disk; deleted with it.
    """

    def __init__(self, folder: Path, held: Sequence[IO[str]] = ()) -> None:
        self.folder = folder
        self._logs = folder / "logs"
        self._logs.mkdir(parents=True, exist_ok=True)
        self._specs: dict[str, ProcessSpec] = {}
        self._lock = threading.Lock()
        ours, theirs = socket.socketpair()
        self._connection = ours
        self._answers = ours.makefile("r")
        with theirs, self.log("supervisor").open("ab") as log:
            self._supervisor = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "splitjob_local.processes.supervisor",
                    folder,
                    str(theirs.fileno()),
                ],
                pass_fds=[theirs.fileno(), *(file.fileno() for file in held)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def log(self, name: str) -> Path:
        """Return the file that collects the output of a process."""
        return self._logs / f"{name}.log"

    def start(self, spec: ProcessSpec) -> int:
        """Start a process, or start it again after it has ended; returns its process id.

        Raises:
            ProcessError: it cannot be started, or is still running.
        """
        self._specs[spec.name] = spec
        answer = self._ask(
            "start",
            name=spec.name,
            command=list(spec.command),
            environment=dict(spec.environment),
            log=str(self.log(spec.name)),
            grace=spec.grace,
        )
        return int(answer["pid"])

    def restart(self, name: str) -> int:
        """Start a process again exactly as it was started before."""
        return self.start(self._specs[name])

    def send_signal(self, name: str, number: int) -> None:
        """Send a signal to one process."""
        self._ask("signal", name=name, number=int(number))

    def stop(self, name: str, number: int = signal.SIGTERM, timeout: float = 20.0) -> int:
        """Send a signal and wait for the end; returns the exit code (negative: a signal's).

        Raises:
            ProcessError: it was still running after `timeout` seconds.
        """
        self.send_signal(name, number)
        deadline = time.monotonic() + timeout
        while (code := self.exit_code(name)) is None:
            if time.monotonic() > deadline:
                raise ProcessError(f"{name} still runs {timeout:g} s after signal {number}")
            time.sleep(0.02)
        return code

    def exit_code(self, name: str) -> int | None:
        """Return the exit code of a process, or None while it runs."""
        code: int | None = self._ask("status", name=name)["code"]
        return code

    def pid(self, name: str) -> int:
        """Return the process id of a process."""
        return int(self._ask("status", name=name)["pid"])

    def ended(self) -> list[str]:
        """Return the names of the processes that were started and have ended."""
        return [name for name in self._specs if self.exit_code(name) is not None]

    def check(self, *names: str) -> None:
        """Make sure that these processes are running.

        Raises:
            ProcessError: one has ended; with its exit code and the end of its log.
        """
        for name in names:
            code = self.exit_code(name)
            if code is not None:
                raise ProcessError(f"{name} ended with status {code}:\n{self.last_words(name)}")

    def wait_until(
        self, is_so: Callable[[], bool], seconds: float, otherwise: str, *names: str
    ) -> None:
        """Ask again and again until something is so.

        Args:
            is_so: asked twenty times a second.
            seconds: the longest wait.
            otherwise: what to say when it is not so by then, such as "the server does not answer".
            names: processes that must not end meanwhile; the last one's log explains a failure.

        Raises:
            ProcessError: one of them has ended, or it is not so in time.
        """
        deadline = time.monotonic() + seconds
        while not is_so():
            self.check(*names)
            if time.monotonic() > deadline:
                words = self.last_words(names[-1])
                raise ProcessError(f"{otherwise} after {seconds:g} s:\n{words}")
            time.sleep(POLL_SECONDS)

    def last_words(self, name: str, lines: int = 15) -> str:
        """Return the end of a process's log."""
        log = self.log(name)
        text = log.read_text(errors="replace") if log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def close(self) -> None:
        """End every process and delete the folder; returns when that is done."""
        # Closing the socket says the same as "end", and also works when the supervisor is gone.
        self._answers.close()
        self._connection.close()
        try:
            self._supervisor.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._supervisor.kill()
            self._supervisor.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _ask(self, operation: str, **arguments: object) -> dict[str, Any]:
        request = json.dumps({"operation": operation, **arguments}) + "\n"
        with self._lock:
            try:
                self._connection.sendall(request.encode())
                line = self._answers.readline()
            except (OSError, ValueError) as error:
                raise ProcessError(f"the supervisor of the cluster is gone ({error})") from error
        if not line:
            raise ProcessError(
                f"the supervisor of the cluster has ended:\n{self.last_words('supervisor')}"
            )
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise ProcessError(f"{operation} {arguments.get('name', '')}: {answer['error']}")
        return answer


def clean_environment(**extra: str) -> dict[str, str]:
    """Return an environment with what every program needs and none of the user's settings."""
    kept = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "USER", "LD_LIBRARY_PATH")
    return {name: os.environ[name] for name in kept if name in os.environ} | extra
