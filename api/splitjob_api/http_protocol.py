"""Uvicorn's HTTP/1.1 protocol with the time limits that it lacks.

One is for the head of a request, one for clients that do not take their answers; and what is no
HTTP at all is answered with problem+json.
"""

import asyncio
import socket
from typing import Any

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from splitjob_api.gathering_transport import GatheringTransport
from splitjob_api.problems import ApiError
from splitjob_api.request_log import REQUEST_ID_HEADER, new_request_id

HEAD_SECONDS = 10.0
SLOW_READER_SECONDS = 30.0
LEAST_TAKEN_BYTES = 16 * 1024  # what a client must take of an answer in that time
KERNEL_BUFFER_BYTES = 128 * 1024  # of answers, for one connection; Linux takes twice as much


class TimedRequestProtocol(H11Protocol):
    """Closes connections on which a request does not arrive, or its answer is not taken, in time.

    The time for the head of a request: between two requests, uvicorn's own keep-alive timeout
    counts; this one begins with the connection, or with the first byte of a further request. It
    begins with the answer where that came before the whole body, as on the paths that need no
    signature: nobody reads the rest.

    The time for an answer: nothing more is written, and no further request begun, until the kernel
    has taken all of what was written before. So whoever sends requests without end and never reads
    holds one answer, and not for long.

    Args:
        config, server_state, app_state, _loop: uvicorn's.
        slow_reader_seconds: in which a client must take 16 KiB of an answer, or what is left of it.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        slow_reader_seconds: float = SLOW_READER_SECONDS,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._slow_reader_seconds = slow_reader_seconds
        self._head_timer: asyncio.TimerHandle | None = None
        self._reader_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clock."""
        super().connection_made(GatheringTransport(transport, self.loop))
        transport.set_write_buffer_limits(high=0)  # so that whatever is not taken pauses writing
        listening: socket.socket = transport.get_extra_info("socket")
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BUFFER_BYTES)
        self._watch_head()

    def data_received(self, data: bytes) -> None:
        """Stop the clock once a head is complete."""
        super().data_received(data)
        self._watch_head()

    def pause_writing(self) -> None:
        """Start the clock for what the client has not taken yet."""
        super().pause_writing()
        self._watch_reader()

    def resume_writing(self) -> None:
        """Stop the clock: the client has taken all of it."""
        self._stop_reader_timer()
        super().resume_writing()

    def on_response_complete(self) -> None:
        """Start the clock if the request is not complete, or the next one has begun."""
        super().on_response_complete()
        if self._is_body_left() or self._is_head_begun():
            self._watch_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clocks."""
        self._stop_head_timer()
        self._stop_reader_timer()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP in the form of every other error."""
        answer = ApiError(400, "http_invalid", msg).response()
        answer.headers[REQUEST_ID_HEADER] = new_request_id()
        headers = [*answer.raw_headers, (b"connection", b"close")]
        for event in (
            h11.Response(status_code=400, headers=headers, reason=b"Bad Request"),
            h11.Data(data=bytes(answer.body)),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _unsupported_upgrade_warning(self) -> None:
        """Log nothing where an upgrade is asked for: the request is served without one.

        Anybody may ask, and uvicorn would tell whoever runs the service to install more packages.
        """

    def _watch_head(self) -> None:
        waiting = self.conn.their_state is h11.IDLE or self._is_body_left()
        if not waiting:
            self._stop_head_timer()
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _is_body_left(self) -> bool:
        """Whether the request was answered before all of its body came."""
        return self.conn.our_state is h11.DONE and self.conn.their_state is h11.SEND_BODY

    def _is_head_begun(self) -> bool:
        """Whether a part of the next head came before the answer to the last request."""
        return self.conn.their_state is h11.IDLE and bool(self.conn.trailing_data[0])

    def _watch_reader(self) -> None:
        self._reader_timer = self.loop.call_later(
            self._slow_reader_seconds,
            self._drop_slow_reader,
            self.transport.get_write_buffer_size(),
        )

    def _drop_slow_reader(self, before: int) -> None:
        """End the connection with all it holds; to close it would wait for the client."""
        if before - self.transport.get_write_buffer_size() < LEAST_TAKEN_BYTES:
            self.transport.abort()
        else:
            self._watch_reader()

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _stop_reader_timer(self) -> None:
        if self._reader_timer is not None:
            self._reader_timer.cancel()
            self._reader_timer = None
