"""The parent of all processes of a local cluster: it outlives the command that started it.

    python -m splitjob_local.processes.supervisor FOLDER DESCRIPTOR

The owner (`track-tree-audio local up`, the demo, a test run) may be killed in any way, even by
`kill -9`. The supervisor then ends all its descendants and the commands that the owner was running,
and deletes the cluster's FOLDER. It notices by the end of file on the socket DESCRIPTOR and by its
parent's process id. It has a session of its own, so that signals to the owner's process group do
not reach it.

On Linux it is also a subreaper: a descendant whose own parent dies becomes its child, so that
nothing a pod leaves behind can escape. If the supervisor itself is killed, the kernel kills its
children (PR_SET_PDEATHSIG). Other systems have neither; there it ends the descendants that it finds
when the end begins.

Requests and answers are JSON objects, one per line; `Supervisor.handle` lists the operations.
"""

import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from splitjob_local.processes.prctl import IS_LINUX, become_subreaper, die_with_parent

# In the environment of what the owner starts itself: a file in the folder of its cluster.
COMMAND_ON = "TRACK_TREE_AUDIO_COMMAND_ON"

TICK_SECONDS = 0.2
KILL_SECONDS = 10.0

Message = dict[str, Any]


class Supervisor:
    """Starts, signals and watches named processes, and finally ends all of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.graces: dict[str, float] = {}
        self.ending = False

    def handle(self, request: Message) -> Message:
        """Carry out one request; a failure becomes the answer's `error`."""
        operations: dict[str, Callable[..., Message]] = {
            "start": self.start,
            "signal": self.signal,
            "status": self.status,
            "end": self.end,
        }
        try:
            return operations[request.pop("operation")](**request)
        except (KeyError, TypeError, OSError) as error:
            return {"error": f"{type(error).__name__}: {error}"}

    def start(
        self, name: str, command: list[str], environment: dict[str, str], log: str, grace: float
    ) -> Message:
        """Start a process, its output appended to the file `log`.

        `grace` is the time in seconds between SIGTERM and SIGKILL when everything ends; with 0 it
        is killed at once.
        """
        running = self.processes.get(name)
        if running is not None and running.poll() is None:
            return {"error": f"{name} is running already"}
        with Path(log).open("ab") as output:
            self.processes[name] = subprocess.Popen(
                command,
                env=environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=die_with_parent if IS_LINUX else None,
            )
        self.graces[name] = grace
        return {"pid": self.processes[name].pid}

    def signal(self, name: str, number: int) -> Message:
        """Send a signal to a process that was started; nothing happens if it has ended."""
        self.processes[name].send_signal(number)
        return {}

    def status(self, name: str) -> Message:
        """Return the process id, and the exit code (negative: a signal) or None while it runs."""
        process = self.processes[name]
        return {"pid": process.pid, "code": process.poll()}

    def end(self) -> Message:
        """Leave the loop of `serve`, which ends everything."""
        self.ending = True
        return {}

    def reap(self) -> None:
        """Reap ended processes, adopted ones included."""
        if not IS_LINUX:
            for process in self.processes.values():
                process.poll()
            return
        ours = {process.pid: process for process in self.processes.values()}
        while True:
            try:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if ended is None:
                return
            if ended.si_pid in ours:
                ours[ended.si_pid].poll()
            else:
                os.waitpid(ended.si_pid, os.WNOHANG)

    def end_everything(self) -> None:
        """End all processes, those with a grace period by SIGTERM first, and delete the folder."""
        remembered = [*psutil.Process().children(recursive=True), *commands_on(self.folder)]
        polite = [name for name, grace in self.graces.items() if grace > 0]
        for name in polite:
            self.processes[name].terminate()
        deadline = time.monotonic() + max(self.graces.values(), default=0)
        while time.monotonic() < deadline and any(
            self.processes[name].poll() is None for name in polite
        ):
            self.reap()
            time.sleep(0.02)
        self.kill_descendants(remembered)
        shutil.rmtree(self.folder, ignore_errors=True)

    def kill_descendants(self, remembered: list[psutil.Process]) -> None:
        """Kill all descendants until none is left, not even a zombie."""
        deadline = time.monotonic() + KILL_SECONDS
        while time.monotonic() < deadline:
            found = {*psutil.Process().children(recursive=True), *remembered}
            running = [process for process in found if process.is_running()]
            if not running:
                return
            for process in running:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            self.reap()
            time.sleep(0.02)


def commands_on(folder: Path) -> list[psutil.Process]:
    """Return the commands that the owner of a cluster runs: they are nobody's once it is killed."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.environ().get(COMMAND_ON, "").startswith(f"{folder}/"):
                found.append(process)
    return found


def serve(supervisor: Supervisor, owner: int, connection: socket.socket) -> None:
    """Answer requests until the owner asks for the end, closes the socket, or is gone."""
    pending = b""
    while not supervisor.ending and os.getppid() == owner:
        readable, _, _ = select.select([connection], [], [], TICK_SECONDS)
        supervisor.reap()
        if not readable:
            continue
        received = connection.recv(1 << 16)
        if not received:
            return
        *lines, pending = (pending + received).split(b"\n")
        for line in lines:
            answer = supervisor.handle(json.loads(line))
            connection.sendall(json.dumps(answer).encode() + b"\n")


def main() -> None:
    """Run the supervisor."""
    owner = os.getppid()
    become_subreaper()
    supervisor = Supervisor(Path(sys.argv[1]))

    def end(_number: int, _frame: object) -> None:
        supervisor.end()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, end)
    with socket.socket(fileno=int(sys.argv[2])) as connection:
        # Otherwise the children would keep the socket open after the supervisor has ended.
        connection.set_inheritable(False)
        try:
            serve(supervisor, owner, connection)
        except ConnectionError:
            pass  # the owner is gone
        finally:
            supervisor.end_everything()


if __name__ == "__main__":
    main()
