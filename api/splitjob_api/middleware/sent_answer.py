"""What an app sends in answer to a request, seen on its way out."""

from collections.abc import Mapping

from starlette.datastructures import MutableHeaders
from starlette.types import Message, Send

__all__ = ["SentAnswer"]


class SentAnswer:
    """Passes on what an app sends.

    Args:
        send: takes it.
        headers: set on the answer besides its own.

    Attributes:
        status: of the answer; 0: it has not begun.
    """

    def __init__(self, send: Send, headers: Mapping[str, str]) -> None:
        self._send = send
        self._headers = headers
        self.status = 0

    async def __call__(self, message: Message) -> None:
        """Pass on one ASGI message."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            MutableHeaders(scope=message).update(self._headers)
        await self._send(message)
