"""Starting, watching and ending a container's process and all its descendants."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

import psutil

from splitjob_kubelet.runtime import orphans
from splitjob_kubelet.runtime.confinement import Confinement
from splitjob_kubelet.runtime.process_tree import (
    children_at_a_glance,
    descendants,
    descendants_at_a_glance,
)

_INTERPRETER = [sys.executable, "-I", "-S"]
_LAUNCHER = str(Path(__file__).with_name("launcher.py"))
_DRAIN_SECONDS = 2.0
_SWEEP_SECONDS = 0.01
_MOST_SWEEPS = 500
_GLANCE_SECONDS = 0.5
_READ_BYTES = 64 * 1024

Sink = Callable[[str, bytes], None]
"""Called with the output of a process: stream name, bytes."""


class StartError(Exception):
    """The program of a container could not be executed."""


@dataclass(frozen=True)
class Program:
    """A program to run.

    Attributes:
        arguments: the program and its arguments.
        environment: the complete environment.
        directory: working directory on this machine.
        container_id: id of this start of the container.
        mounts: container path -> path on this machine, by which its paths were translated; empty
            if it is confined.
        confinement: its file system and user; None: those of the node.
    """

    arguments: list[str]
    environment: dict[str, str]
    directory: Path
    container_id: str
    mounts: Mapping[str, str]
    confinement: Confinement | None = None


class Started(Protocol):
    """A process that was started, as `subprocess.Popen` has it."""

    @property
    def pid(self) -> int: ...

    @property
    def stdout(self) -> IO[bytes] | None: ...

    @property
    def stderr(self) -> IO[bytes] | None: ...

    def send_signal(self, sig: int, /) -> None: ...

    def wait(self) -> int: ...


Begin = Callable[[Program, int], Awaitable[Started | None]]
"""Starts a program in another way, given the descriptor for reports; None: not this one."""


class Process:
    """A running program in a session of its own, with its descendants."""

    def __init__(self, popen: Started, container_id: str, sink: Sink) -> None:
        self.pid = popen.pid
        self.container_id = container_id
        self._popen = popen
        self._main = psutil.Process(popen.pid)
        self._seen: dict[int, psutil.Process] = {self.pid: self._main}
        self._looked_at = 0.0
        self._exited = asyncio.Event()
        self._timers: list[asyncio.TimerHandle] = []
        self._termination_sent = False
        self._outputs = [
            _forward(stream, name, sink)
            for stream, name in ((popen.stdout, "stdout"), (popen.stderr, "stderr"))
            if stream is not None
        ]
        _call_on_exit(popen, self._exited.set)

    @property
    def alive(self) -> bool:
        return not self._exited.is_set()

    def read_also(self, stream: IO[bytes], sink: Sink) -> None:
        """Read a further stream as stdout; it is closed with the others."""
        self._outputs.append(_forward(stream, "stdout", sink))

    async def wait(self) -> int:
        """Wait for the first process to end, then kill all the others.

        Returns:
            The exit code as reported by a container runtime: 128 + signal for a killed process.
        """
        await self._exited.wait()
        for timer in self._timers:
            timer.cancel()
        # The first process is not reaped yet, so its process id cannot have been reused.
        for _ in range(_MOST_SWEEPS):
            if not self.kill():
                break
            await asyncio.sleep(_SWEEP_SECONDS)
        await asyncio.wait(self._outputs, timeout=_DRAIN_SECONDS)
        for output in self._outputs:
            output.cancel()
        code = self._popen.wait()
        orphans.forget(self.pid)
        return 128 - code if code < 0 else code

    def terminate(self, grace: float) -> None:
        """Send SIGTERM to the first process, and kill all processes after `grace` seconds.

        A later call can only shorten the time.
        """
        if not self.alive:
            return
        if not self._termination_sent:
            self._termination_sent = True
            with contextlib.suppress(ProcessLookupError):
                self._popen.send_signal(signal.SIGTERM)
        self._timers.append(asyncio.get_running_loop().call_later(grace, self.kill))

    def kill(self) -> int:
        """Kill all processes; returns how many descendants of the first were alive."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        others = [one for one in self.family() if one.pid != self.pid]
        for member in [*others, self._main]:
            with contextlib.suppress(psutil.NoSuchProcess):
                member.kill()
        orphans.reap()
        return len(others)

    def family(self) -> list[psutil.Process]:
        """The living processes of the container, including those whose parents have died."""
        return self._find_family(psutil.Process().children(), descendants)

    def family_at_a_glance(self) -> list[psutil.Process]:
        """The same at little cost: half a second old, or without one while others end."""
        if time.monotonic() - self._looked_at < _GLANCE_SECONDS:
            return list(self._seen.values())
        children = children_at_a_glance(psutil.Process())
        return self._find_family(children, descendants_at_a_glance)

    def _find_family(
        self,
        node_children: list[psutil.Process],
        descendants_of: Callable[[psutil.Process], list[psutil.Process]],
    ) -> list[psutil.Process]:
        self._looked_at = time.monotonic()
        found: dict[int, psutil.Process] = {}
        for root in [*self._seen.values(), *orphans.left_by(self.container_id, node_children)]:
            if root.pid in found or not _lives(root):
                continue
            found[root.pid] = root
            with contextlib.suppress(psutil.NoSuchProcess):
                found |= {child.pid: child for child in descendants_of(root) if _lives(child)}
        self._seen = found
        return list(found.values())


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def start(
    program: Program,
    sink: Sink,
    stdin: int = subprocess.DEVNULL,
    terminal: int | None = None,
    begin: Begin | None = None,
) -> Process:
    """Start a program through the launcher, so that it dies with the node.

    Args:
        program: what to run.
        sink: called with its output.
        stdin: descriptor of its standard input.
        terminal: descriptor of a terminal for input and output instead.
        begin: another way to start it, where that knows the program.

    Raises:
        StartError: it cannot be executed; the message says why.
    """
    report, reported = os.pipe()
    with os.fdopen(report, "rb", buffering=0) as stream:
        try:
            popen = await begin(program, reported) if begin else None
            popen = popen or _launch(program, reported, stdin, terminal)
        finally:
            os.close(reported)
        orphans.expect(popen.pid)
        process = Process(popen, program.container_id, sink)
        problem = bytearray()
        await _forward(stream, "report", lambda _name, data: problem.extend(data))
    if problem:
        await process.wait()
        raise StartError(problem.decode(errors="replace"))
    return process


def _launch(
    program: Program, report: int, stdin: int, terminal: int | None
) -> subprocess.Popen[bytes]:
    """Start the launcher, which executes the program or writes to `report` why it cannot."""
    own = [] if program.confinement is None else [program.confinement.descriptor()]
    confinement = own[0] if own else 0
    words = [str(report), str(os.getpid()), str(confinement), *program.arguments]
    try:
        return subprocess.Popen(
            [*_INTERPRETER, _LAUNCHER, *words],
            env=program.environment | {orphans.MARKER: program.container_id},
            cwd=program.directory,
            stdin=stdin if terminal is None else terminal,
            stdout=subprocess.PIPE if terminal is None else terminal,
            stderr=subprocess.PIPE if terminal is None else terminal,
            pass_fds=[report, *own],
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise StartError(str(error)) from None
    finally:
        for descriptor in own:
            os.close(descriptor)


async def run(program: Program, seconds: float) -> tuple[int, str]:
    """Run a program to its end, for probes and hooks.

    Returns:
        Its exit code, and at most 10 KiB of its output.

    Raises:
        StartError: it cannot be executed.
        TimeoutError: it took longer than `seconds` and was killed.
    """
    output = bytearray()
    process = await start(program, lambda _stream, data: output.extend(data[: 10240 - len(output)]))
    try:
        async with asyncio.timeout(seconds):
            code = await process.wait()
    finally:
        if process.alive:
            process.kill()
            await process.wait()
    return code, output.decode(errors="replace")


def _forward(stream: IO[bytes], name: str, sink: Sink) -> asyncio.Future[None]:
    """Call a sink with everything read from a pipe; the future is done at its end of file."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()
    descriptor = stream.fileno()
    os.set_blocking(descriptor, False)

    def read() -> None:
        try:
            data = os.read(descriptor, _READ_BYTES)
        except BlockingIOError:
            return
        except OSError:  # on Linux: the other side of the terminal is closed
            data = b""
        if data:
            sink(name, data)
        elif not ended.done():
            ended.set_result(None)

    def close(_: asyncio.Future[None]) -> None:
        loop.remove_reader(descriptor)
        stream.close()

    loop.add_reader(descriptor, read)
    ended.add_done_callback(close)
    return ended


def _call_on_exit(popen: Started, callback: Callable[[], None]) -> None:
    """Call back in the event loop when the process has ended, without reaping it."""
    loop = asyncio.get_running_loop()
    if hasattr(os, "pidfd_open"):
        descriptor = os.pidfd_open(popen.pid)

        def exited() -> None:
            loop.remove_reader(descriptor)
            os.close(descriptor)
            callback()

        loop.add_reader(descriptor, exited)
        return

    def watch() -> None:
        os.waitid(os.P_PID, popen.pid, os.WEXITED | os.WNOWAIT)
        loop.call_soon_threadsafe(callback)

    threading.Thread(target=watch, daemon=True, name=f"wait-{popen.pid}").start()
