"""The watches: they bring each change of a SplitJob, Job or pod as it happens.

A watch ends after a minute by the server's clock, a little later by ours, and goes on from the last
change seen: one that has gone silent costs that time and no change. Where the API server no longer
knows the changes since then, everything is listed.
"""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from splitjob_kube.errors import ExpiredError, KubernetesError
from splitjob_operator.core.ports import WatchingPort

__all__ = ["Watches"]

log = logging.getLogger(__name__)

KINDS = ("SplitJob", "Job", "Pod")
WATCH_SECONDS = 60
FIRST_PAUSE_SECONDS = 0.25
LAST_PAUSE_SECONDS = 5.0
TURN = 50  # changes dealt with between two turns of the event loop

Json = dict[str, Any]
Deal = Callable[[str, str, Json], object]


class Watches:
    """Watches each kind in a thread of its own; what they bring is dealt with in the event loop.

    Args:
        kubernetes: the namespace.
        deal: is told, in the loop, kind, type and object of each change, types as Kubernetes calls
            them; bookmarks, which only say how far a watch is, are among them.
        list_again: called in the loop where changes from before a watch may have been missed: at
            its first begin, and where the API server no longer knows what came since its last.
        count: is told of each watch its kind and whether it was granted; in its thread.
    """

    def __init__(
        self,
        kubernetes: WatchingPort,
        deal: Deal,
        list_again: Callable[[], None],
        count: Callable[[str, bool], object],
    ) -> None:
        self._kubernetes = kubernetes
        self._deal = deal
        self._list_again = list_again
        self._count = count
        self._brought: deque[tuple[str, str, Json]] = deque()
        self._awake = False
        self._stopped = threading.Event()
        self._loop: asyncio.AbstractEventLoop

    def start(self) -> None:
        """Watch from now on, until `stop`; called in the event loop."""
        self._loop = asyncio.get_running_loop()
        for kind in KINDS:
            name = f"watch {kind}"
            threading.Thread(target=self._run, args=(kind,), name=name, daemon=True).start()

    def stop(self) -> None:
        """Bring nothing more; each thread ends with its watch, or with the process."""
        self._stopped.set()

    def _run(self, kind: str) -> None:
        """Watch a kind until stopped."""
        watch = _Watch(kind)
        while not self._stopped.wait(watch.pause):
            try:
                self._follow(watch)
            except ExpiredError:
                watch.version = ""
                self._failed(watch, "the API server no longer knows what came since")
            except KubernetesError as error:
                self._failed(watch, str(error))
            except Exception:
                log.exception("The watch of %ss met a defect", kind)
                self._failed(watch, "a defect")

    def _follow(self, watch: "_Watch") -> None:
        """Bring what changes, from where the last watch has ended, until this one ends."""
        kind = watch.kind
        if not watch.version:
            watch.version = self._kubernetes.latest_version(kind)
            # What came before is for a listing to find: nobody may wait for this watch to bring it.
            self._bring(kind, "BOOKMARK", {"metadata": {"resourceVersion": watch.version}})
            self._loop.call_soon_threadsafe(self._list_again)
        granted = False
        for event, raw in self._kubernetes.changes(kind, watch.version, WATCH_SECONDS):
            if self._stopped.is_set():
                return
            if not granted:
                self._begun(watch)
                granted = True
            self._bring(kind, event, raw)
            watch.version = raw["metadata"]["resourceVersion"]
        if not granted:
            self._begun(watch)

    def _begun(self, watch: "_Watch") -> None:
        self._count(watch.kind, True)
        watch.pause = 0.0

    def _failed(self, watch: "_Watch", reason: str) -> None:
        """Pause before the next try; the resync says what is wrong with the API server."""
        self._count(watch.kind, False)
        log.debug("The watch of %ss was lost: %s", watch.kind, reason)
        watch.pause = min(max(FIRST_PAUSE_SECONDS, 2 * watch.pause), LAST_PAUSE_SECONDS)

    def _bring(self, kind: str, event: str, raw: Json) -> None:
        """Hand a change to the loop, which is woken once for many."""
        self._brought.append((kind, event, raw))
        if not self._awake:
            self._awake = True
            self._loop.call_soon_threadsafe(self._take)

    def _take(self) -> None:
        """Deal with what the threads have brought, a part of it in each turn of the loop."""
        for _ in range(min(TURN, len(self._brought))):
            kind, event, raw = self._brought.popleft()
            try:
                self._deal(kind, event, raw)
            except Exception:
                log.exception("A change of a %s could not be dealt with", kind)
        self._awake = False
        if self._brought:  # what a thread brought before it could see that the loop sleeps
            self._awake = True
            self._loop.call_soon(self._take)


@dataclass
class _Watch:
    """How far a kind is watched.

    Attributes:
        kind: SplitJob, Job or Pod.
        version: of the last change that was brought; blank: a watch of it begins anew.
        pause: seconds before the next try.
    """

    kind: str
    version: str = ""
    pause: float = 0.0
