"""A receiver of webhooks: `DEMUCSSVC_TOKEN=... PORT=8080 KEEP_DIR=kept python receiver.py`.

It speaks plain HTTP to this machine alone: put what speaks TLS for you in front of it.
"""

import os
import threading
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from splitjob.webhook import WebhookError, WebhookEvent, verify

TOKENS = os.environ["DEMUCSSVC_TOKEN"]  # one, or several separated by commas
KEEP_DIR = os.environ.get("KEEP_DIR")
MAX_BYTES = 1024 * 1024
SIGNED_WITH = ("X-Timestamp", "X-Signature", "webhook-id", "webhook-timestamp", "webhook-signature")

handled: set[str | None] = set()  # in yours: a table with a unique index
one_at_a_time = threading.Lock()


def handle(event: WebhookEvent) -> None:
    """Do your work here. Whatever it raises becomes a 500, and the event comes again."""
    print(event.name, event.job_id, flush=True)


def keep(name: str, headers: Message, body: bytes) -> None:
    """Write what came into KEEP_DIR, as `track-tree-audio verify-webhook` reads it."""
    if KEEP_DIR:
        folder = Path(KEEP_DIR)
        folder.mkdir(parents=True, exist_ok=True)
        lines = [f"{one}: {headers[one]}\n" for one in SIGNED_WITH if one in headers]
        (folder / f"{name}.headers").write_text("".join(lines), "latin-1")
        (folder / f"{name}.json").write_bytes(body)


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
            keep("refused", self.headers, body)
            self.send_error(401, explain=refused.reason)
            return
        with one_at_a_time:
            if event.event_id not in handled:
                keep(f"{event.job_id}.{event.name}", self.headers, body)
                handle(event)
                handled.add(event.event_id)
        self.send_response(204)
        self.end_headers()


if __name__ == "__main__":
    address = ("127.0.0.1", int(os.environ.get("PORT", "8080")))
    ThreadingHTTPServer(address, Receiver).serve_forever()
