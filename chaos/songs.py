"""The songs: short, of several kinds, from a web server or the bucket."""

import secrets
import tempfile
import time
from http.server import BaseHTTPRequestHandler
from io import BytesIO
from pathlib import Path
from typing import Self

from bench.audio_files import tones, write_audio
from chaos.plan import Source
from chaos.quiet_server import QuietServer
from splitjob_io.storage import S3Service

SECONDS = 1.5
SLOW_SECONDS = 4.0
STORED_KEY = "songs/chaos.wav"
PRESIGNED_SECONDS = 6 * 3600


class Songs:
    """Serves songs in a `with` block; every address is a new one.

    Args:
        storage: the bucket, for songs that lie there.
    """

    def __init__(self, storage: S3Service) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = write_audio(Path(folder) / "song.wav", tones(44100, SECONDS, 2))
            song = path.read_bytes()
        self._storage = storage
        storage.upload_fileobj(BytesIO(song), STORED_KEY)
        self._server = QuietServer(("127.0.0.1", 0), _handler(song))

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()

    def url(self, source: Source) -> str:
        """Return the address of a song of a kind."""
        if source == "stored":
            return self._storage.generate_presigned_get_url(STORED_KEY, PRESIGNED_SECONDS)
        name = f"{source}-{secrets.token_hex(4)}.wav"
        return f"http://127.0.0.1:{self._server.server_port}/{name}"


def _handler(song: bytes) -> type[BaseHTTPRequestHandler]:
    contents = {"unreadable": b"<html>Not found</html>" * 20, "missing": None}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            kind = self.path.lstrip("/").partition("-")[0]
            content = contents.get(kind, song)
            if kind == "slow":
                time.sleep(SLOW_SECONDS)
            self.send_response(404 if content is None else 200)
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    return Handler
