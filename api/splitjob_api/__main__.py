"""`python -m splitjob_api`: serve until told to stop."""

import logging
import sys

import uvicorn
from kubernetes.config import ConfigException
from starlette.types import ASGIApp

from splitjob import jsonlog
from splitjob.listening import listen
from splitjob_api.app import create_app
from splitjob_api.gate import MAX_HEAD_BYTES
from splitjob_api.protocol import PatientProtocol
from splitjob_api.settings import Settings, SettingsInvalid

EXIT_MISCONFIGURED = 2
EXIT_NOT_STARTED = 3

logger = logging.getLogger("splitjob_api")


def main() -> int:
    """Serve the API; return the exit status."""
    try:
        settings = Settings.from_environment()
        token = settings.demucssvc_token.get_secret_value()
        jsonlog.setup("api", level=settings.log_level, secrets=[token])
        logging.getLogger("urllib3").setLevel(logging.ERROR)  # what it retries, we report
        app = create_app(settings)
    except (SettingsInvalid, ConfigException) as error:
        jsonlog.setup("api")
        logger.error("cannot start: %s", error)  # noqa: TRY400 - the message says it all
        return EXIT_MISCONFIGURED
    try:
        listening = listen(settings.host, settings.port)
    except OSError as error:
        logger.error(  # noqa: TRY400 - the message says it all
            "cannot start: cannot listen on HOST %s, PORT %d: %s",
            settings.host,
            settings.port,
            error,
        )
        return EXIT_MISCONFIGURED
    server = uvicorn.Server(_configuration(app, settings))
    server.run(sockets=[listening])
    return 0 if server.started else EXIT_NOT_STARTED


def _configuration(app: ASGIApp, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=PatientProtocol,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,
        proxy_headers=False,
        timeout_graceful_shutdown=settings.shutdown_grace_seconds,
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
    )


if __name__ == "__main__":
    sys.exit(main())
