"""Something that answers at the addresses that tests of NetworkPolicies ask for.

    python tests/containers/answers.py ADDRESS:PORT...

A place that does not answer would look closed whatever the policies said.
"""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer

from splitjob_local.containers.network import METADATA, WORLD, Namespaces
from splitjob_local.processes.supervised import Processes, ProcessSpec, clean_environment

NAMES = ("the-world", "metadata")


class Answer(BaseHTTPRequestHandler):
    """Answers every question with the same word."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@contextmanager
def answering(processes: Processes, namespaces: Namespaces, port: int) -> Iterator[None]:
    """Answer at the address that stands for the world, and at that of a cloud's metadata."""
    command = (sys.executable, __file__)
    outside = (*command, f"{WORLD}:{port}")
    inside = namespaces.inside(*command, f"{METADATA}:80")
    for name, words in zip(NAMES, (outside, inside), strict=True):
        processes.start(ProcessSpec(name, words, clean_environment()))
    try:
        yield
    finally:
        for name in NAMES:
            processes.stop(name)


def main() -> None:
    """Run as the program described at the top of this file."""
    servers = []
    for place in sys.argv[1:]:
        host, _, port = place.rpartition(":")
        # Not an HTTPServer: it asks for the name of its address, and there is no DNS in there.
        servers.append(ThreadingTCPServer((host, int(port)), Answer))
    for server in servers:
        threading.Thread(target=server.serve_forever).start()


if __name__ == "__main__":
    main()
