"""A way to a server that can be frozen: connections are taken, and nothing comes of them."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class FreezingProxy:
    """Passes on what comes on a port of this machine, but while it is frozen.

    As with a server whose process is stopped, what was sent meanwhile arrives afterwards.

    Args:
        host, port: where to pass it on to.

    Attributes:
        port: where it listens.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._moving = threading.Event()
        self._moving.set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def freeze(self) -> None:
        self._moving.clear()

    def thaw(self) -> None:
        self._moving.set()

    def close(self) -> None:
        self.thaw()
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(self._target)
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=self._pass_on, args=pair, daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while content := source.recv(65536):
                self._moving.wait()
                sink.sendall(content)
        for one in (source, sink):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


@contextmanager
def freezing_proxy(host: str, port: int) -> Iterator[FreezingProxy]:
    """Serve until the block ends."""
    proxy = FreezingProxy(host, port)
    try:
        yield proxy
    finally:
        proxy.close()
