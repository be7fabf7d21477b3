"""Many open streams on one replica: how soon each change reaches them all, and what that costs."""

import re
import selectors
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import urlsplit

from bench.api_replica import Replica, signed
from bench.api_server import ApiServer
from bench.figures import Figure, at_least, at_most, note

COMMAND = "make bench ONLY=api"
STREAMS = 500
CHANGES = 40
PAUSE_SECONDS = 0.25
PATIENCE_SECONDS = 30.0
_EVENT = re.compile(rb"id: (\d+)\nevent: job\n")


def deliveries(server: ApiServer, replica: Replica) -> list[Figure]:
    """Return how long changes take to reach all streams, and the processor time they cost.

    Args:
        server: writes where the replica looks.
        replica: holds the streams.
    """
    jobs = [server.create(f"streamed-{number}") for number in range(CHANGES)]
    with _listeners(replica) as listeners:
        before = replica.cpu_seconds()
        written: dict[int, float] = {}
        for job in jobs:
            began = time.perf_counter()
            percent = {"progress": {"stage": "separate", "percent": 50}}
            changed = server.write_status(job, percent)
            written[int(changed["metadata"]["resourceVersion"])] = began
            time.sleep(PAUSE_SECONDS)
        listeners.wait_for(len(written) * STREAMS, written)
        spent = replica.cpu_seconds() - before
        delays = sorted(listeners.delays(written))
    wanted = CHANGES * STREAMS
    return [
        at_least(
            "api: changes that reached their streams", len(delays) / wanted, "ratio", 1, COMMAND
        ),
        note("api: a change at one of 500 streams, median", delays[len(delays) // 2], "s", COMMAND),
        at_most(
            "api: a change at one of 500 streams, p99",
            delays[int(len(delays) * 0.99)],
            "s",
            1,
            COMMAND,
        ),
        at_most("api: CPU of 1000 deliveries", spent / len(delays) * 1000, "s", 0.1, COMMAND),
        note("api: memory with 500 streams", replica.megabytes(), "MB", COMMAND),
    ]


class Listeners(threading.Thread):
    """Reads streams, and notes when each event came.

    Args:
        connections: open streams.
    """

    def __init__(self, connections: list[socket.socket]) -> None:
        super().__init__(daemon=True)
        self._selector = selectors.DefaultSelector()
        for connection in connections:
            connection.setblocking(False)
            self._selector.register(connection, selectors.EVENT_READ)
        self._came: list[tuple[int, float]] = []
        self.stopped = False

    def run(self) -> None:
        """Read until stopped."""
        while not self.stopped:
            for key, _ in self._selector.select(0.1):
                content = key.fileobj.recv(65536)  # type: ignore[union-attr]
                now = time.perf_counter()
                self._came += [(int(found), now) for found in _EVENT.findall(content)]

    def wait_for(self, count: int, written: Mapping[int, float]) -> None:
        """Wait until so many events of these versions have come, or no more will."""
        end = time.perf_counter() + PATIENCE_SECONDS
        while len(self.delays(written)) < count and time.perf_counter() < end:
            time.sleep(0.1)

    def delays(self, written: Mapping[int, float]) -> list[float]:
        """Return how long after its write each event came, in seconds.

        Args:
            written: when each version was written.
        """
        return [at - written[version] for version, at in list(self._came) if version in written]


@contextmanager
def _listeners(replica: Replica) -> Iterator[Listeners]:
    connections = [_open(replica) for _ in range(STREAMS)]
    listeners = Listeners(connections)
    listeners.start()
    try:
        yield listeners
    finally:
        listeners.stopped = True
        listeners.join()
        for connection in connections:
            connection.close()


def _open(replica: Replica) -> socket.socket:
    address = urlsplit(str(replica.http.base_url))
    connection = socket.create_connection((str(address.hostname), int(address.port or 80)))
    headers = {"Host": address.netloc, **signed("/events")}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    connection.sendall(f"GET /events HTTP/1.1\r\n{lines}\r\n".encode())
    begin = b""
    while b"\nid: " not in begin:
        begin += connection.recv(4096)
    if not begin.startswith(b"HTTP/1.1 200"):
        raise ConnectionError(begin.splitlines()[0].decode())
    return connection
