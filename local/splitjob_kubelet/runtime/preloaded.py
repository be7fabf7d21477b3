"""Programs of containers that begin as copies of a process which has imported what they need.

The node starts one such process for each `--preload`, when the first container wants it. A copy
becomes a child of the node's, as any first process of a container is: its parent ends at once, and
the node adopts it. `preloaded_program.py` is the other side.
"""

import asyncio
import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from pathlib import Path

from splitjob_kubelet.runtime import orphans
from splitjob_kubelet.runtime.container_process import Program
from splitjob_kubelet.settings import Preload

_SCRIPT = str(Path(__file__).with_name("preloaded_program.py"))
# What an interpreter and the libraries that are loaded with it read once, at their start.
_READ_AT_THE_START = ("PYTHON", "LD_", "OMP_", "MKL_", "MALLOC_")
_ANSWER_BYTES = 16
# Where the command line of a copy is written, which is longer than that of the process copied.
_ROOM_FOR_A_NAME = " " * 4000


class Copy:
    """A copy that runs: as much of `subprocess.Popen` as a container's process needs."""

    def __init__(self, pid: int, outputs: Iterable[int]) -> None:
        self.pid = pid
        self.stdout, self.stderr = (os.fdopen(output, "rb", buffering=0) for output in outputs)
        self._exit_code: int | None = None

    def send_signal(self, number: int) -> None:
        """Send a signal; it is not reaped yet, so that its process id is its own."""
        os.kill(self.pid, number)

    def wait(self) -> int:
        """Reap it; return its exit code, negative for a signal."""
        if self._exit_code is None:
            _, status = os.waitpid(self.pid, 0)
            self._exit_code = os.waitstatus_to_exitcode(status)
        return self._exit_code


class Preloads:
    """The processes that are copied.

    Args:
        preloads: those of the node's command line.
    """

    def __init__(self, preloads: Iterable[Preload]) -> None:
        self._processes = {preload: _Original(preload) for preload in preloads}

    async def start(self, program: Program, report: int) -> Copy | None:
        """Start a program as a copy, or return None where it has to start by itself.

        Args:
            program: what to run.
            report: descriptor to which it writes why it cannot start; the caller closes it.
        """
        for preload, original in self._processes.items():
            if _suits(preload, program):
                return await original.copy(program, report)
        return None


def _suits(preload: Preload, program: Program) -> bool:
    """Whether a program is one of these, and is told nothing that is only read at a start."""
    begins = tuple(program.arguments[: len(preload.command)]) == preload.command
    return begins and not any(name.startswith(_READ_AT_THE_START) for name in program.environment)


class _Original:
    """One process that is copied."""

    def __init__(self, preload: Preload) -> None:
        self._preload = preload
        self._asked: socket.socket | None = None

    async def copy(self, program: Program, report: int) -> Copy | None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        outputs, written = zip(os.pipe(), os.pipe(), strict=True)
        with ours, ExitStack() as failing:
            for output in outputs:
                failing.callback(os.close, output)
            try:
                self._ask(program, [report, *written, theirs.detach()])
                answer = await asyncio.get_running_loop().sock_recv(ours, _ANSWER_BYTES)
            except OSError:
                answer = b""
            if not answer:  # it has ended, as where an import fails: the program itself will say so
                self._forget()
                return None
            orphans.expect(pid := int(answer))
            failing.pop_all()
            with suppress(OSError):  # it was killed; whoever waits for it will see
                ours.send(b"go")
        return Copy(pid, outputs)

    def _ask(self, program: Program, handed: list[int]) -> None:
        """Ask for a copy; closes what it hands over, but for the first."""
        environment = program.environment | {orphans.MARKER: program.container_id}
        request = [os.getpid(), program.arguments, str(program.directory), environment]
        try:
            if program.confinement is not None:
                handed.append(program.confinement.descriptor())
            if self._asked is None:
                self._asked = self._start(program.environment["PATH"])
            socket.send_fds(self._asked, [json.dumps(request).encode()], handed)
        finally:
            for descriptor in handed[1:]:
                os.close(descriptor)

    def _forget(self) -> None:
        if self._asked is not None:
            self._asked.close()
            self._asked = None

    def _start(self, path: str) -> socket.socket:
        """Start it, with nothing in its environment but where programs are."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        python = shutil.which("python", path=path) or "python"
        with theirs:
            process = subprocess.Popen(
                [python, "-P", _SCRIPT, str(theirs.fileno()), _ROOM_FOR_A_NAME],
                env={"PATH": path},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        orphans.expect(process.pid)
        ours.send(json.dumps([os.getpid(), self._preload.modules]).encode())
        return ours
