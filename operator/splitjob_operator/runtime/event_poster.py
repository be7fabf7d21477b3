"""Posts Kubernetes Events behind the work: a transition waits for no Event about it.

In the middle of the work each would cost a request between the status and the Job that the status
announces, a third of all that a start writes.
"""

import asyncio
import logging
import threading
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from typing import Any

from splitjob.jsonlog import log_context
from splitjob_kube.errors import KubernetesError
from splitjob_operator.core.ports import EventPort
from splitjob_operator.runtime.metrics import EVENTS_LOST

__all__ = ["EventPoster"]

log = logging.getLogger(__name__)

Json = dict[str, Any]
WAITING = 1000  # Events; whoever brings one more posts that one itself
LAST_SECONDS = 2.0  # for what waits when the process ends


class EventPoster:
    """Posts Events in the order in which they are brought, in a thread of its own.

    Until `start`, and from `close` on, whoever brings one posts it. May be called from any thread.

    Args:
        kubernetes: takes them.
    """

    def __init__(self, kubernetes: EventPort) -> None:
        self._kubernetes = kubernetes
        self._work: SimpleQueue[Callable[[], object]] = SimpleQueue()
        self._open = False

    def start(self) -> None:
        """Post in the thread from now on."""
        self._open = True
        threading.Thread(target=self._run, name="events", daemon=True).start()

    def post(self, event: Json) -> None:
        """Post an Event; one that is refused is counted, and never raises."""
        if self._open and self._work.qsize() < WAITING:
            self._work.put(partial(self._post, event))
        else:
            self._post(event)

    async def close(self) -> None:
        """Wait for what is still to be posted, not for long."""
        self._open = False
        ended, loop = asyncio.Event(), asyncio.get_running_loop()
        self._work.put(partial(loop.call_soon_threadsafe, ended.set))
        try:
            async with asyncio.timeout(LAST_SECONDS):
                await ended.wait()
        except TimeoutError:
            log.warning("Not all Events could be posted before the end")

    def _run(self) -> None:
        while True:
            work = self._work.get()
            try:
                work()
            except Exception:
                log.exception("An Event met a defect")

    def _post(self, event: Json) -> None:
        with log_context(job_id=event["involvedObject"]["name"]):
            try:
                self._kubernetes.create_event(event)
            except KubernetesError as error:
                EVENTS_LOST.inc()
                log.warning("An event could not be posted: %s", error)
