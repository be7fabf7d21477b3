"""`kubectl exec`: a command in a running container, over a WebSocket.

Protocol: v5.channel.k8s.io. The first byte of each binary message names the channel: 0 stdin,
1 stdout, 2 stderr, 3 the final Status, 4 the size of the terminal, 255 the end of a channel.
The API server passes it through to nodes that declare the feature ExtendWebSocketsToKubelet.
"""

import asyncio
import contextlib
import fcntl
import json
import os
import struct
import termios
from collections.abc import Mapping
from dataclasses import replace

from aiohttp import WSMsgType, web

from splitjob_kubelet.containers.runner import ContainerRunner
from splitjob_kubelet.objects import Json
from splitjob_kubelet.runtime import container_process
from splitjob_kubelet.runtime.container_process import Process, Program, StartError

PROTOCOL = "v5.channel.k8s.io"

_STDIN, _STDOUT, _STDERR, _STATUS, _RESIZE, _CLOSE = 0, 1, 2, 3, 4, 255
_YES = ("1", "true")
_CHANNELS = {"stdout": _STDOUT, "stderr": _STDERR}


async def execute(request: web.Request, runner: ContainerRunner) -> web.WebSocketResponse:
    """Serve one `kubectl exec`.

    Args:
        request: asks for the upgrade; its query has command, input and tty.
        runner: of the container.
    """
    socket = web.WebSocketResponse(protocols=(PROTOCOL,), heartbeat=30.0)
    await socket.prepare(request)
    try:
        program = runner.program_of(request.query.getall("command", []))
        session = _Session(socket, program, request.query)
        status = await session.run()
    except StartError as error:
        status = _failure(f"command could not be executed: {error}", "InternalError", 126)
    with contextlib.suppress(ConnectionError):
        await socket.send_bytes(bytes([_STATUS]) + json.dumps(status).encode())
        await socket.close()
    return socket


class _Session:
    """One command, its input and output, with or without a terminal."""

    def __init__(
        self, socket: web.WebSocketResponse, program: Program, query: Mapping[str, str]
    ) -> None:
        self._socket = socket
        self._program = program
        self._has_input = query.get("input") in _YES
        self._has_terminal = query.get("tty") in _YES
        self._terminal: int | None = None
        self._input: asyncio.WriteTransport | None = None
        self._output: asyncio.Queue[bytes | None] = asyncio.Queue()

    async def run(self) -> Json:
        """Run the command to its end; returns the final Status."""
        tasks: list[asyncio.Task[None]] = []
        try:
            process = await self._start()
            sending = asyncio.create_task(self._send())
            tasks = [sending, asyncio.create_task(self._receive(process))]
            code = await process.wait()
            self._output.put_nowait(None)
            await sending
        finally:
            for task in tasks:
                task.cancel()
            if self._input is not None:
                self._input.close()
        if code == 0:
            return {"metadata": {}, "status": "Success"}
        message = f"command terminated with non-zero exit code: {code}"
        return _failure(message, "NonZeroExitCode", code)

    async def _start(self) -> Process:
        if self._has_terminal:
            return await self._start_on_terminal()
        if not self._has_input:
            return await container_process.start(self._program, self._take)
        reading, writing = os.pipe()
        self._input = await _write_end(writing)
        try:
            return await container_process.start(self._program, self._take, stdin=reading)
        finally:
            os.close(reading)

    async def _start_on_terminal(self) -> Process:
        environment = {"TERM": "xterm"} | self._program.environment
        program = replace(self._program, environment=environment)
        ours, theirs = os.openpty()
        self._terminal = ours
        self._input = await _write_end(os.dup(ours))
        try:
            process = await container_process.start(program, self._take, terminal=theirs)
        finally:
            os.close(theirs)
        process.read_also(os.fdopen(ours, "rb", buffering=0), self._take)
        return process

    def _take(self, stream: str, data: bytes) -> None:
        self._output.put_nowait(bytes([_CHANNELS[stream]]) + data)

    async def _send(self) -> None:
        while (message := await self._output.get()) is not None:
            await self._socket.send_bytes(message)

    async def _receive(self, process: Process) -> None:
        """Forward input; when the client disconnects, end the command."""
        async for message in self._socket:
            if message.type == WSMsgType.BINARY and message.data:
                self._handle(message.data[0], message.data[1:])
        process.kill()

    def _handle(self, channel: int, data: bytes) -> None:
        if channel == _STDIN and self._input is not None:
            self._input.write(data)
        elif channel == _CLOSE and data[:1] == bytes([_STDIN]) and self._input is not None:
            self._input.close()
        elif channel == _RESIZE and self._terminal is not None:
            size = json.loads(data)
            shape = struct.pack("HHHH", size["Height"], size["Width"], 0, 0)
            fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, shape)


async def _write_end(descriptor: int) -> asyncio.WriteTransport:
    transport, _ = await asyncio.get_running_loop().connect_write_pipe(
        asyncio.BaseProtocol, os.fdopen(descriptor, "wb", buffering=0)
    )
    return transport


def _failure(message: str, reason: str, code: int) -> Json:
    causes = [{"reason": "ExitCode", "message": str(code)}]
    return {
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason,
        "details": {"causes": causes},
    }
