"""Kubernetes Events about pods, sent in the background."""

import asyncio
import logging
import secrets
import time
from datetime import UTC, datetime

from splitjob_kubelet.api.apiserver import ApiServer, ApiServerError
from splitjob_kubelet.objects import Json, name_of, namespace_of, timestamp, uid_of

log = logging.getLogger(__name__)

_QUEUE_LENGTH = 500
_SAME_AGAIN_SECONDS = 60.0


class EventRecorder:
    """Queues Events; a repeat about the same pod within a minute is dropped."""

    def __init__(self, api_server: ApiServer, node: str) -> None:
        self._api_server = api_server
        self._node = node
        self._queue: asyncio.Queue[Json] = asyncio.Queue(_QUEUE_LENGTH)
        self._recent: dict[tuple[str, str, str], float] = {}

    def normal(self, pod: Json, reason: str, message: str, container: str | None = None) -> None:
        self._add(pod, "Normal", reason, message, container)

    def warning(self, pod: Json, reason: str, message: str, container: str | None = None) -> None:
        self._add(pod, "Warning", reason, message, container)

    async def run(self) -> None:
        """Send the queued Events; never returns."""
        while True:
            event = await self._queue.get()
            try:
                await self._api_server.create_event(event)
            except ApiServerError as error:
                log.debug("event %s: %s", event["reason"], error)

    def _add(self, pod: Json, kind: str, reason: str, message: str, container: str | None) -> None:
        if self._queue.full() or self._said_lately(uid_of(pod), reason, message):
            return
        self._queue.put_nowait(self._event(pod, kind, reason, message, container))

    def _said_lately(self, *key: str) -> bool:
        now = time.monotonic()
        uid, reason, message = key
        limit = now - _SAME_AGAIN_SECONDS
        self._recent = {one: when for one, when in self._recent.items() if when > limit}
        if (uid, reason, message) in self._recent:
            return True
        self._recent[uid, reason, message] = now
        return False

    def _event(
        self, pod: Json, kind: str, reason: str, message: str, container: str | None
    ) -> Json:
        now = timestamp(datetime.now(UTC))
        regarding = {
            "apiVersion": "v1",
            "kind": "Pod",
            "name": name_of(pod),
            "namespace": namespace_of(pod),
            "uid": uid_of(pod),
        }
        if container:
            regarding["fieldPath"] = f"spec.containers{{{container}}}"
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {
                "name": f"{name_of(pod)[:200]}.{secrets.token_hex(8)}",
                "namespace": namespace_of(pod),
            },
            "involvedObject": regarding,
            "type": kind,
            "reason": reason,
            "message": message,
            "source": {"component": "kubelet", "host": self._node},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
