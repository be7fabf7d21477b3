"""`python -m splitjob_api`: serve until told to stop."""

import asyncio
import logging
import os
import socket
import sys
from collections.abc import Sequence
from functools import partial
from typing import cast

import uvicorn
from starlette.types import ASGIApp

from splitjob import jsonlog
from splitjob.configuration import ConfigurationError
from splitjob_api.app import create_app
from splitjob_api.http_protocol import TimedRequestProtocol
from splitjob_api.middleware.signature import MAX_HEAD_BYTES
from splitjob_api.settings import Settings
from splitjob_api.streams import Streams
from splitjob_io.listening import listen
from splitjob_kube.errors import UnconfiguredError

EXIT_MISCONFIGURED = 2
EXIT_NOT_STARTED = 3

logger = logging.getLogger("splitjob_api")


class Server(uvicorn.Server):
    """Ends the streams of events when it is told to stop: uvicorn would wait for them.

    Args:
        config: uvicorn's.
        streams: those of the app.
    """

    def __init__(self, config: uvicorn.Config, streams: Streams) -> None:
        super().__init__(config)
        self._streams = streams

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop serving."""
        self._streams.close()
        await super().shutdown(sockets)


def main() -> int:
    """Serve the API; return the exit status."""
    secrets = [os.environ.get("DEMUCSSVC_TOKEN")]
    jsonlog.setup("api", secrets=secrets)
    try:
        settings = Settings.from_environment()
        jsonlog.setup("api", level=settings.log_level, secrets=secrets)
        logging.getLogger("urllib3").setLevel(logging.ERROR)  # what it retries, we report
        app = create_app(settings)
    except ConfigurationError as error:
        return _give_up(error.problems)
    except UnconfiguredError as error:
        return _give_up([str(error)])
    try:
        listening = listen(settings.host, settings.port)
    except OSError as error:
        place = f"HOST {settings.host}, PORT {settings.port}"
        return _give_up([f"cannot listen on {place}: {error.strerror or error}"])
    server = Server(_configuration(app, settings), app.state.services.streams)
    server.run(sockets=[listening])
    return 0 if server.started else EXIT_NOT_STARTED


def _configuration(app: ASGIApp, settings: Settings) -> uvicorn.Config:
    protocol = partial(TimedRequestProtocol, slow_reader_seconds=settings.slow_reader_seconds)
    return uvicorn.Config(
        app,
        http=cast("type[asyncio.Protocol]", protocol),  # it is called as the class would be
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,
        proxy_headers=False,
        timeout_keep_alive=settings.keep_alive_seconds,
        timeout_graceful_shutdown=settings.shutdown_grace_seconds,
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
    )


def _give_up(problems: Sequence[str]) -> int:
    for problem in problems:
        logger.error("cannot start: %s", problem)
    return EXIT_MISCONFIGURED


if __name__ == "__main__":
    sys.exit(main())
