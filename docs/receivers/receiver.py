"""A receiver of webhooks: `DEMUCSSVC_TOKEN=... PORT=8080 python receiver.py`.

It speaks plain HTTP to this machine alone: put what speaks TLS for you in front of it.
"""

import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from splitjob.webhook import WebhookError, WebhookEvent, verify

TOKENS = os.environ["DEMUCSSVC_TOKEN"]  # one, or several separated by commas
MAX_BYTES = 1024 * 1024

handled: set[str | None] = set()  # in yours: a table with a unique index
one_at_a_time = threading.Lock()


def handle(event: WebhookEvent) -> None:
    """Do your work here. Whatever it raises becomes a 500, and the event comes again."""
    print(event.name, event.job_id, flush=True)


class Receiver(BaseHTTPRequestHandler):
    """Answers 204 to what is genuine, new or not, and 401 to everything else."""

    timeout = 15  # seconds that a sender may keep us waiting

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if not 0 <= length <= MAX_BYTES:
            self.send_error(413)
            return
        body = self.rfile.read(length)  # verified as it came, parsed afterwards
        try:
            event = verify(body, dict(self.headers.items()), TOKENS)
        except WebhookError as refused:
            self.send_error(401, explain=refused.reason)
            return
        with one_at_a_time:
            if event.event_id not in handled:
                handle(event)
                handled.add(event.event_id)
        self.send_response(204)
        self.end_headers()


if __name__ == "__main__":
    address = ("127.0.0.1", int(os.environ.get("PORT", "8080")))
    ThreadingHTTPServer(address, Receiver).serve_forever()
