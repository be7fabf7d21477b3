"""Ports for clusters that share one machine.

A port is leased with a lock file for as long as the cluster lives, so that two clusters never
pick the same one, even while the server behind it is down for a restart. The range lies below the
ephemeral ports that systems use for outgoing connections.
"""

import random
import socket
from pathlib import Path
from typing import IO, Self

from splitjob_local.paths import cache_root
from splitjob_local.processes.locks import try_lock

FIRST_PORT, LAST_PORT = 20000, 21999


class NoFreePortError(Exception):
    """Every port in the range is taken."""


class PortLeases:
    """The ports of one cluster; `close` releases them."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or cache_root() / "ports"
        self._locks: list[IO[str]] = []

    def port(self) -> int:
        """Lease a TCP port that nothing on 127.0.0.1 listens on.

        Raises:
            NoFreePortError: none is left.
        """
        for port in _shuffled(FIRST_PORT, LAST_PORT):
            if self._lease(str(port)):
                if is_free(port):
                    return port
                self._locks.pop().close()
        raise NoFreePortError(f"no TCP port between {FIRST_PORT} and {LAST_PORT} is free")

    def _lease(self, name: str) -> bool:
        lock = try_lock(self._folder / name)
        if lock is not None:
            self._locks.append(lock)
        return lock is not None

    def close(self) -> None:
        """Release all ports."""
        while self._locks:
            self._locks.pop().close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _shuffled(first: int, last: int) -> list[int]:
    numbers = list(range(first, last + 1))
    random.shuffle(numbers)
    return numbers
