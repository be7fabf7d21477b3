"""Sends what is written of an answer in one turn of the event loop as one piece."""

import asyncio

__all__ = ["GatheringTransport"]

MOST_GATHERED_BYTES = 64 * 1024


class GatheringTransport(asyncio.Transport):
    """A transport in front of another one.

    uvicorn writes head and body of an answer one after the other. Sent like that they are two
    calls of the system, and wake whoever reads them twice.

    Args:
        behind: sends.
        loop: whose turns are meant.
    """

    def __init__(self, behind: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._behind = behind
        self._loop = loop
        self._gathered = bytearray()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send this at the end of the turn, with what else is written until then."""
        if not data:
            return
        if not self._gathered:
            self._loop.call_soon(self._send)
        self._gathered += data
        if len(self._gathered) >= MOST_GATHERED_BYTES:
            self._send()

    def close(self) -> None:
        """Send what was gathered, and close."""
        self._send()
        self._behind.close()

    def abort(self) -> None:
        """Close at once; what was not sent is dropped."""
        self._gathered.clear()
        self._behind.abort()

    def is_closing(self) -> bool:
        """Return whether it is closed, or is about to be."""
        return self._behind.is_closing()

    def get_extra_info(self, name: str, default: object = None) -> object:
        """Return what is known of the connection."""
        return self._behind.get_extra_info(name, default)

    def get_write_buffer_size(self) -> int:
        """Return how many bytes are not sent yet."""
        return len(self._gathered) + self._behind.get_write_buffer_size()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Say above how many bytes writing is paused, and at how many it goes on."""
        self._behind.set_write_buffer_limits(high, low)

    def pause_reading(self) -> None:
        """Read no more for now."""
        self._behind.pause_reading()

    def resume_reading(self) -> None:
        """Go on reading."""
        self._behind.resume_reading()

    def _send(self) -> None:
        if self._gathered:
            gathered, self._gathered = self._gathered, bytearray()
            self._behind.write(gathered)
