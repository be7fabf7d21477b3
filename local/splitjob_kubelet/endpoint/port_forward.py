"""`kubectl port-forward`: connections to a pod's address, in SPDY streams inside a WebSocket.

Protocol: for each connection the client opens two streams with the headers `port` and `requestid`,
one of `streamtype` error, which only carries an error message for the user, then one of data.
"""

import asyncio
import contextlib
from dataclasses import dataclass, field

from aiohttp import WSMsgType, web

from splitjob_kubelet.endpoint.spdy import (
    Data,
    Decoder,
    Encoder,
    Frame,
    Opened,
    Ping,
    Reset,
    SpdyError,
)

PROTOCOL = "SPDY/3.1+portforward.k8s.io"

_PIECE_BYTES = 32 * 1024
_WAITING_PIECES = 64


async def forward_ports(request: web.Request, address: str) -> web.WebSocketResponse:
    """Serve one `kubectl port-forward`.

    Args:
        request: asks for the upgrade.
        address: of the pod.
    """
    socket = web.WebSocketResponse(protocols=(PROTOCOL,), heartbeat=30.0)
    await socket.prepare(request)
    await _Session(socket, address).run()
    return socket


@dataclass
class _Connection:
    """One connection to the pod; None in the queue marks the end of the client's data."""

    input: asyncio.Queue[bytes | None] = field(
        default_factory=lambda: asyncio.Queue(_WAITING_PIECES)
    )
    task: asyncio.Task[None] | None = None


class _Session:
    def __init__(self, socket: web.WebSocketResponse, address: str) -> None:
        self._socket = socket
        self._address = address
        self._encoder = Encoder()
        self._error_streams: dict[str, int] = {}
        self._connections: dict[int, _Connection] = {}

    async def run(self) -> None:
        """Serve until the client disconnects."""
        decoder = Decoder()
        try:
            async for message in self._socket:
                if message.type == WSMsgType.BINARY:
                    for frame in decoder.feed(message.data):
                        await self._handle(frame)
        except SpdyError as error:
            await self._socket.close(message=str(error).encode())
        finally:
            for connection in self._connections.values():
                if connection.task is not None:
                    connection.task.cancel()

    async def _handle(self, frame: Frame) -> None:
        match frame:
            case Opened():
                await self._open(frame)
            case Data(stream, content, final) if stream in self._connections:
                queue = self._connections[stream].input
                if content:
                    await queue.put(content)
                if final:
                    await queue.put(None)
            case Reset(stream) if stream in self._connections:
                connection = self._connections.pop(stream)
                if connection.task is not None:
                    connection.task.cancel()
            case Ping(number):
                await self._socket.send_bytes(self._encoder.pong(number))

    async def _open(self, frame: Opened) -> None:
        await self._socket.send_bytes(self._encoder.accept(frame.stream))
        request = frame.headers.get("requestid", "")
        if frame.headers.get("streamtype") == "error":
            self._error_streams[request] = frame.stream
            return
        port = int(frame.headers.get("port", "0"))
        error_stream = self._error_streams.pop(request, None)
        connection = self._connections[frame.stream] = _Connection()
        connection.task = asyncio.create_task(
            self._connect(frame.stream, port, connection, error_stream)
        )

    async def _connect(
        self, stream: int, port: int, connection: _Connection, error_stream: int | None
    ) -> None:
        problem = b""
        try:
            reader, writer = await asyncio.open_connection(self._address, port)
        except OSError as error:
            problem = f"nothing answers at {self._address}:{port}: {error}".encode()
        else:
            try:
                async with asyncio.TaskGroup() as group:
                    sending = group.create_task(_write(connection.input, writer))
                    await self._read(reader, stream)
                    sending.cancel()
            finally:
                writer.close()
        self._connections.pop(stream, None)
        with contextlib.suppress(ConnectionError):
            await self._send(stream, b"", final=True)
            if error_stream is not None:
                await self._send(error_stream, problem, final=True)

    async def _read(self, reader: asyncio.StreamReader, stream: int) -> None:
        with contextlib.suppress(ConnectionError):
            while content := await reader.read(_PIECE_BYTES):
                await self._send(stream, content)

    async def _send(self, stream: int, content: bytes, final: bool = False) -> None:
        await self._socket.send_bytes(self._encoder.data(stream, content, final))


async def _write(queue: asyncio.Queue[bytes | None], writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while (content := await queue.get()) is not None:
            writer.write(content)
            await writer.drain()
        writer.write_eof()
