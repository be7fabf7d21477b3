"""An app of this process on a port of this machine."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from tests.support.ports import free_port
from tests.support.waiting import eventually, patience


@contextmanager
def served_app(app: Any) -> Iterator[str]:
    """Serve an app until the block ends; yield its URL."""
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_config=None, ws="none"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    eventually(lambda: server.started, pause=0.01)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(patience())
