"""Programs of this project that begin as copies of a process which has imported what they need.

Their imports take most of the processor time of a short life: two seconds for a worker, one for an
operator or an API. So the first start of a program in a run of tests also starts a server, which
imports its modules once; that and every later start is a fork of it that becomes
`python -m MODULE`, with arguments, environment, output, signals and an exit status of its own. What
a fork cannot show, the imports themselves and what the system calls the process, is for tests that
start it as users do (tests/unit/service/test_program_starts.py and all that run it in a pod).
"""

import contextlib
import functools
import gc
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import IO

from splitjob_local.processes.prctl import die_with_parent

# The modules that each program imports, but for those that do something as they are imported.
IMPORTED = {
    "kopf": ("kopf.cli", "splitjob_operator.runtime.app"),
    "splitjob_api": ("uvicorn.lifespan.on", "splitjob_api.app", "splitjob_api.http_protocol"),
    "splitjob_worker": (
        *("splitjob_worker.job", "splitjob_worker.run", "splitjob_worker.pipeline"),
        *("splitjob_worker.engine.separator", "splitjob_worker.upload.targets"),
        "splitjob_worker.source.decode",
    ),
}
_REQUEST_BYTES = 200_000
_STATUS_BYTES = 4


class Forked:
    """A program that was started: as much of `subprocess.Popen` as the tests use.

    Args:
        status: where the server tells the process id and, later, the exit status.
    """

    def __init__(self, status: socket.socket) -> None:
        self._status = status
        self.pid = self._read()
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit status, or None while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end; return the exit status.

        Raises:
            subprocess.TimeoutExpired: it runs longer than so many seconds.
        """
        if self.returncode is None:
            self._status.settimeout(timeout)
            try:
                self.returncode = self._read()
            except (TimeoutError, BlockingIOError):
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0) from None
            self._status.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)

    def _read(self) -> int:
        if not (answer := self._status.recv(_STATUS_BYTES)):
            raise RuntimeError("the fork server has ended: see its output")
        return int.from_bytes(answer, "big", signed=True)


def start(
    module: str,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    stdout: IO[bytes],
    stderr: IO[bytes],
) -> Forked:
    """Start `python -m MODULE`; it ends with this process at the latest.

    Args:
        module: one of those in `IMPORTED`.
        arguments: the program's.
        environment: all of it.
        stdout: takes its output.
        stderr: takes its errors.
    """
    ours, theirs = socket.socketpair()
    request = json.dumps([os.getcwd(), dict(environment), list(arguments)]).encode()  # noqa: PTH109
    handed = [stdout.fileno(), stderr.fileno(), theirs.fileno()]
    with theirs:
        socket.send_fds(_server(module), [request], handed)
    return Forked(ours)


@functools.cache
def _server(module: str) -> socket.socket:
    """Start the server of a module; return the socket on which it is asked for forks."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        subprocess.Popen(
            [sys.executable, "-P", __file__, module, str(theirs.fileno())],
            env={"PATH": os.environ["PATH"], "OMP_WAIT_POLICY": "PASSIVE"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            preexec_fn=die_with_parent,
        )
    return ours


class Server:
    """Forks itself for each request.

    Args:
        asked: where the requests come from.
    """

    def __init__(self, asked: socket.socket) -> None:
        self._asked = asked
        self._running: dict[int, socket.socket] = {}

    def serve(self) -> list[str]:
        """Serve until nobody can ask any more; returns in each fork, with the program's arguments.

        Raises:
            SystemExit: in the server itself.
        """
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # it ends with whoever asks
        signal.signal(signal.SIGCHLD, lambda *_: self._tell_who_ended())
        while True:
            request, outputs, *_ = socket.recv_fds(self._asked, _REQUEST_BYTES, 3)
            if not request:
                sys.exit()
            # None may end before it is known whose process it is.
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
            *handed, status = outputs
            if (pid := os.fork()) == 0:
                return self._become(json.loads(request), handed, status)
            for descriptor in handed:
                os.close(descriptor)
            self._running[pid] = socket.socket(fileno=status)
            _tell(self._running[pid], pid)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])

    def _tell_who_ended(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    return
                with self._running.pop(pid) as waiting:
                    _tell(waiting, os.waitstatus_to_exitcode(status))

    def _become(
        self, request: tuple[str, dict[str, str], list[str]], handed: list[int], status: int
    ) -> list[str]:
        """Give a fork what a new process has; return the program's arguments."""
        die_with_parent()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
        for number, descriptor in enumerate(handed, 1):
            os.dup2(descriptor, number)
            os.close(descriptor)
        os.close(status)
        for ending in (self._asked, *self._running.values()):
            ending.close()
        directory, environment, arguments = request
        os.chdir(directory)
        sys.path.insert(0, directory)
        os.environ.clear()
        os.environ.update(environment)
        return arguments


def _tell(whom: socket.socket, number: int) -> None:
    with contextlib.suppress(OSError):  # nobody listens any more
        whom.send(number.to_bytes(_STATUS_BYTES, "big", signed=True))


def main() -> None:
    """Import what a program needs, then become that program in each fork."""
    module, descriptor = sys.argv[1:]
    for imported in IMPORTED[module]:
        import_module(imported)
    gc.freeze()
    sys.argv[1:] = Server(socket.socket(fileno=int(descriptor))).serve()
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
