"""What kopf loads: `kopf run --standalone -n NAMESPACE -m splitjob_operator.runtime.kopf_app`.

It only registers. kopf delivers events; there are no finalizers, no annotations and no retries of
kopf's own: the work is `splitjob_operator.runtime.controller`'s.
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
from splitjob.resource import GROUP, LABEL_SPLITJOB, PLURAL, VERSION
from splitjob_kube.errors import KubernetesError
from splitjob_operator.adapters import kubernetes
from splitjob_operator.adapters.watch_session import session
from splitjob_operator.core.ports import BucketError
from splitjob_operator.core.settings import Settings
from splitjob_operator.runtime.app import App
from splitjob_operator.runtime.metrics import count_watch

# kopf names an operator after this; without it, it asks for the user's name, and a container's user
# need not have one.
os.environ.setdefault("POD_ID", socket.gethostname())

EXIT_MISCONFIGURED = 2
LOGIN_RETRY_SECONDS = 5.0

log = logging.getLogger(__name__)


class Backoffs:
    """The pauses between tries of kopf's requests, without an end: a watch outlives any outage."""

    def __iter__(self) -> Iterator[float]:
        return chain((0.5, 1.0, 2.0, 3.0), repeat(5.0))


class NothingToCompare(kopf.DiffBaseStorage):
    """Keeps kopf from copying each object to see what changed: nobody here asks it."""

    def build(self, **_: object) -> kopf.BodyEssence:
        """Return that there is nothing to compare."""
        return kopf.BodyEssence()

    def fetch(self, **_: object) -> None:
        """There is nothing to compare with."""

    def store(self, **_: object) -> None:
        """Keep nothing."""


@kopf.on.login()
async def login(memo: kopf.Memo, **_: object) -> kopf.AiohttpSession:
    """Use the same way to the API server as everything else here.

    kopf asks again when it was answered 401, and ends the operator where that does not help at
    once. The token may be replaced in a minute: no answer is given before the API server takes it.
    """
    if not await asyncio.to_thread(kubernetes.accepts_credentials):
        raise kopf.TemporaryError("the API server says 401", delay=LOGIN_RETRY_SECONDS)
    return session(kubernetes.connection(), memo.app.controller.overhear, count_watch)


@kopf.on.startup(errors=kopf.ErrorsMode.PERMANENT)  # unusable settings end the process
async def start(settings: kopf.OperatorSettings, memo: kopf.Memo, **_: object) -> None:
    """Configure kopf and start the operator."""
    memo.app = await _started()
    logging.getLogger("kopf").setLevel(logging.WARNING)
    logging.getLogger("kopf._cogs.clients").setLevel(logging.CRITICAL)  # the resync says it, once
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.persistence.diffbase_storage = NothingToCompare()
    settings.networking.error_backoffs = Backoffs()
    settings.networking.request_timeout = 30
    settings.watching.label_selectors["batch", "v1", "jobs"] = LABEL_SPLITJOB
    settings.watching.label_selectors["", "v1", "pods"] = LABEL_SPLITJOB
    # kopf looks once for the kinds it watches: not before SplitJob is one of them.
    await memo.app.resync.first.wait()


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


@kopf.on.event(GROUP, VERSION, PLURAL)
async def splitjob(event: kopf.RawEvent, memo: kopf.Memo, **_: object) -> None:
    """Hand on a change of a SplitJob."""
    memo.app.controller.on_splitjob_event(event["object"], deleted=event["type"] == "DELETED")


@kopf.on.event("batch", "v1", "jobs", labels={LABEL_SPLITJOB: kopf.PRESENT})
async def job(event: kopf.RawEvent, memo: kopf.Memo, **_: object) -> None:
    """Hand on a change of a Job."""
    memo.app.controller.on_child_event("Job", event["object"], deleted=event["type"] == "DELETED")


@kopf.on.event("", "v1", "pods", labels={LABEL_SPLITJOB: kopf.PRESENT})
async def pod(event: kopf.RawEvent, memo: kopf.Memo, **_: object) -> None:
    """Hand on a change of a pod."""
    memo.app.controller.on_child_event("Pod", event["object"], deleted=event["type"] == "DELETED")
