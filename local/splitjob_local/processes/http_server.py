"""An HTTP server in a thread of this process."""

import threading
from http.server import ThreadingHTTPServer

__all__ = ["BackgroundServer"]

POLL_SECONDS = 0.05  # between two looks whether it is to stop


class BackgroundServer(ThreadingHTTPServer):
    """Listens from the beginning; answers from `start` to `stop`."""

    def start(self) -> None:
        """Answer, in a thread that ends with the process at the latest."""
        threading.Thread(target=self.serve_forever, args=(POLL_SECONDS,), daemon=True).start()

    def stop(self) -> None:
        """Answer no more, and listen no more."""
        self.shutdown()
        self.server_close()
