"""Whether the event loop is at work: asked from a thread, which a blocked loop does not stop."""

import asyncio
import threading

__all__ = ["Heartbeat"]


class Heartbeat:
    """Asks an event loop for a sign of life.

    Args:
        loop: the event loop.
        seconds: how long it may take to answer.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        self._loop = loop
        self._seconds = seconds

    def answered(self) -> bool:
        """Wait for an answer, in another thread than the loop's; return whether it came in time."""
        answer = threading.Event()
        try:
            self._loop.call_soon_threadsafe(answer.set)
        except RuntimeError:  # it is closed
            return False
        return answer.wait(self._seconds)
