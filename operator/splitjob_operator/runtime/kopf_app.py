"""What kopf loads: `kopf run --standalone -n NAMESPACE -m splitjob_operator.runtime.kopf_app`.

It only registers. kopf is the frame: its command, its log in, its signals, start and end. What the
API server tells of each change goes past it (`splitjob_operator.runtime.watches`): a task, a queue
and a dozen objects for each would be a third of the operator's processor time. There are no
finalizers, no annotations and no retries of kopf's own.
"""

import asyncio
import logging
import os
import socket
from collections.abc import Iterator, Sequence
from itertools import chain, repeat
from typing import NoReturn

import kopf

from splitjob import jsonlog
from splitjob.configuration import ConfigurationError
from splitjob_kube.errors import KubernetesError
from splitjob_operator.adapters import kubernetes
from splitjob_operator.core.ports import BucketError
from splitjob_operator.core.settings import Settings
from splitjob_operator.runtime.app import App

# kopf names an operator after this; without it, it asks for the user's name, and a container's user
# need not have one.
os.environ.setdefault("POD_ID", socket.gethostname())

EXIT_MISCONFIGURED = 2
LOGIN_RETRY_SECONDS = 5.0

log = logging.getLogger(__name__)


class Backoffs:
    """The pauses between tries of kopf's requests, without an end: it outlives any outage."""

    def __iter__(self) -> Iterator[float]:
        return chain((0.5, 1.0, 2.0, 3.0), repeat(5.0))


@kopf.on.login()
async def login(**_: object) -> kopf.ConnectionInfo:
    """Use the same way to the API server as everything else here.

    kopf asks again when it was answered 401, and ends the operator where that does not help at
    once. The token may be replaced in a minute: no answer is given before the API server takes it.
    """
    if not await asyncio.to_thread(kubernetes.accepts_credentials):
        raise kopf.TemporaryError("the API server says 401", delay=LOGIN_RETRY_SECONDS)
    to = kubernetes.connection()
    return kopf.ConnectionInfo(
        server=to.server,
        ca_path=to.ca_path,
        insecure=not to.verify,
        token=to.token,
        certificate_path=to.certificate_path,
        private_key_path=to.key_path,
    )


@kopf.on.startup(errors=kopf.ErrorsMode.PERMANENT)  # unusable settings end the process
async def start(settings: kopf.OperatorSettings, memo: kopf.Memo, **_: object) -> None:
    """Configure kopf and start the operator."""
    memo.app = await _started()
    logging.getLogger("kopf").setLevel(logging.WARNING)
    logging.getLogger("kopf._cogs.clients").setLevel(logging.CRITICAL)  # the resync says it, once
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.networking.error_backoffs = Backoffs()
    settings.networking.request_timeout = 30
    memo.app.watches.start()
    await memo.app.resync.first.wait()  # before kopf asks the API server for anything


async def _started() -> App:
    """Put the operator together and start it; what it cannot start with ends the process."""
    jsonlog.setup("operator", secrets=[os.environ.get("DEMUCSSVC_TOKEN")])
    try:
        settings = Settings.from_environment()
        jsonlog.setup("operator", level=settings.log_level, secrets=settings.tokens)
        return await App(settings).start()
    except ConfigurationError as error:
        _give_up(error.problems)
    except (BucketError, KubernetesError) as error:
        _give_up([str(error)])
    except OSError as error:
        _give_up([f"HOST and PORT: cannot listen there: {error.strerror or error}"])


def _give_up(problems: Sequence[str]) -> NoReturn:
    """End the process at once: the last line of its log is what Kubernetes shows of a pod."""
    for problem in problems:
        log.error("cannot start: %s", problem)
    os._exit(EXIT_MISCONFIGURED)


@kopf.on.cleanup()
async def stop(memo: kopf.Memo, **_: object) -> None:
    """Stop the operator."""
    if "app" in memo:
        await memo.app.stop()
