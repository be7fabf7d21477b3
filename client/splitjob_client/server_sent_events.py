"""Reading server-sent events: https://html.spec.whatwg.org/multipage/server-sent-events.html."""

import re
from dataclasses import dataclass

_END_OF_LINE = re.compile(rb"\r\n|\n|\r")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class ServerSentEvent:
    """One event.

    Attributes:
        name: `message` where the stream gives none.
        data: its lines, joined by line feeds.
        last_id: the last id that the stream gave, with this event or before; empty: none yet.
    """

    name: str
    data: str
    last_id: str


class EventDecoder:
    """Makes events of a stream's bytes, however they are cut.

    Args:
        last_id: of the stream before, which this one goes on with.

    Attributes:
        retry_seconds: how long the stream asks to wait before it is opened again; None: not said.
        last_id: up to where the stream has come. A block without data, which is no event, says so
            too: a stream begins with one.
    """

    def __init__(self, last_id: str = "") -> None:
        self.retry_seconds: float | None = None
        self.last_id = last_id
        self._id = last_id  # of the block under way
        self._name = ""
        self._data: list[str] = []
        self._rest = b""
        self._begun = False

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        """Return the events that a further piece of the stream completes."""
        text = self._rest + chunk
        if not self._begun:
            if len(text) < len(_BYTE_ORDER_MARK) and _BYTE_ORDER_MARK.startswith(text):
                self._rest = text
                return []
            text = text.removeprefix(_BYTE_ORDER_MARK)
            self._begun = True
        # A carriage return at the end may be half of a line's end.
        held = text[-1:] if text.endswith(b"\r") else b""
        *lines, rest = _END_OF_LINE.split(text[: len(text) - len(held)])
        self._rest = rest + held
        found = [self._take(line.decode("utf-8", "replace")) for line in lines]
        return [event for event in found if event is not None]

    def _take(self, line: str) -> ServerSentEvent | None:
        if not line:
            return self._dispatch()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            self._name = value
        elif name == "data":
            self._data.append(value)
        elif name == "id" and "\0" not in value:
            self._id = value
        elif name == "retry" and value.isascii() and value.isdigit():
            self.retry_seconds = int(value) / 1000
        return None

    def _dispatch(self) -> ServerSentEvent | None:
        name, data = self._name or "message", self._data
        self._name, self._data = "", []
        self.last_id = self._id
        return ServerSentEvent(name, "\n".join(data), self.last_id) if data else None
