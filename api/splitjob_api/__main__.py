"""`python -m splitjob_api`: serve until told to stop."""

import logging
import sys

import uvicorn
from kubernetes.config import ConfigException

from splitjob import jsonlog
from splitjob_api.app import create_app
from splitjob_api.gate import MAX_HEAD_BYTES
from splitjob_api.protocol import PatientProtocol
from splitjob_api.settings import Settings, SettingsInvalid

EXIT_MISCONFIGURED = 2

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
    uvicorn.run(
        app,
        host=settings.host,
        port=settings.port,
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
    return 0


if __name__ == "__main__":
    sys.exit(main())
