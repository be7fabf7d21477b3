"""A moment after which a network stream goes on with nothing, whatever it is at."""

import ssl
import time

import httpcore

__all__ = ["Deadline", "DeadlineStream"]


class Deadline:
    """The moment when a client gives up, whatever it is at; it can be moved while it is at work.

    Args:
        seconds: from now.
    """

    def __init__(self, seconds: float) -> None:
        self.move(seconds)

    def move(self, seconds: float) -> None:
        """Let it be so many seconds from now."""
        self._moment = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds until then; 0 once it is over."""
        return max(self._moment - time.monotonic(), 0.0)

    def limit(self, timeout: float | None, expired: type[httpcore.TimeoutException]) -> float:
        """Return how long a step of at most `timeout` seconds may take; raise when it is over."""
        left = self.left
        if not left:
            raise expired("the total time is used up")
        return left if timeout is None else min(left, timeout)


class DeadlineStream(httpcore.NetworkStream):
    """A network stream none of whose steps goes on after a deadline.

    Args:
        inner: the stream.
        deadline: of all that is done with it.
    """

    def __init__(self, inner: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._inner = inner
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Return the next bytes, none at the end."""
        limit = self._deadline.limit(timeout, httpcore.ReadTimeout)
        return self._inner.read(max_bytes, limit)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send bytes."""
        self._inner.write(buffer, self._deadline.limit(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        """Close the connection."""
        self._inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        """Return the stream that goes on by TLS."""
        limit = self._deadline.limit(timeout, httpcore.ConnectTimeout)
        secured = self._inner.start_tls(ssl_context, server_hostname, limit)
        return DeadlineStream(secured, self._deadline)

    def get_extra_info(self, info: str) -> object:
        """Return what httpcore asks of a stream."""
        return self._inner.get_extra_info(info)
