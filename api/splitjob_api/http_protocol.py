"""HTTP/1.1 with what uvicorn does not have.

That is a time limit on the head of a request, and problem+json for what is no HTTP at all.
"""

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from splitjob_api.problems import ApiError

HEAD_SECONDS = 10.0


class TimedRequestProtocol(H11Protocol):
    """Closes a connection on which the head of a request has not arrived in time.

    Between two requests, uvicorn's own keep-alive timeout counts; this one begins with the
    connection, or with the first byte of a further request. It begins with the answer where that
    came before the whole body, as on the paths that need no signature: nobody reads the rest.
    """

    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clock."""
        super().connection_made(transport)
        self._watch_head()

    def data_received(self, data: bytes) -> None:
        """Stop the clock once a head is complete."""
        super().data_received(data)
        self._watch_head()

    def on_response_complete(self) -> None:
        """Start the clock if the request is not complete."""
        super().on_response_complete()
        if self._is_body_left():
            self._watch_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._stop_timer()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP in the form of every other error."""
        answer = ApiError(400, "http_invalid", msg).response()
        headers = [*answer.raw_headers, (b"connection", b"close")]
        for event in (
            h11.Response(status_code=400, headers=headers, reason=b"Bad Request"),
            h11.Data(data=bytes(answer.body)),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _watch_head(self) -> None:
        waiting = self.conn.their_state is h11.IDLE or self._is_body_left()
        if not waiting:
            self._stop_timer()
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _is_body_left(self) -> bool:
        """Whether the request was answered before all of its body came."""
        return self.conn.our_state is h11.DONE and self.conn.their_state is h11.SEND_BODY

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
