"""Keeping the pod's record on disk and its status in the API up to date."""

import asyncio
import logging
from datetime import UTC, datetime
from http import HTTPStatus

from splitjob_kubelet.api.apiserver import RefusedError, until_answered
from splitjob_kubelet.node.node_context import NodeContext
from splitjob_kubelet.node.records import save
from splitjob_kubelet.node.sandbox import Sandbox
from splitjob_kubelet.objects import Json, is_terminal, name_of
from splitjob_kubelet.pods.status import pod_status

log = logging.getLogger(__name__)

_AGAIN_SECONDS = 1.0


class Reporter:
    """Writes the latest status of one pod; changes during a write go into the next one."""

    def __init__(self, node: NodeContext, sandbox: Sandbox) -> None:
        self._node = node
        self._sandbox = sandbox
        self._conditions: list[Json] = sandbox.pod.get("status", {}).get("conditions") or []
        self._pending = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._sent: Json | None = None
        self._closed = False

    def changed(self) -> None:
        """Save the record and schedule a write of the status."""
        save(self._sandbox.record, self._sandbox.record_file)
        self._idle.clear()
        self._pending.set()

    def close(self) -> None:
        """Stop writing: the pod was deleted from the API."""
        self._closed = True
        self._pending.set()

    async def flush(self) -> None:
        """Wait until the API has the latest status, or the pod was deleted."""
        await self._idle.wait()

    async def run(self) -> None:
        """Write the status after each change, until cancelled."""
        while True:
            await self._pending.wait()
            self._pending.clear()
            if not self._closed:
                await self._write()
            if self._closed or not self._pending.is_set():
                self._idle.set()

    async def _write(self) -> None:
        pod, record = self._sandbox.pod, self._sandbox.record
        host_ip = self._node.settings.address
        status = pod_status(pod, record, host_ip, self._conditions, datetime.now(UTC))
        if status == self._sent or (is_terminal(pod) and not record.finished):
            return
        try:
            await until_answered(
                f"status of pod {name_of(pod)}",
                lambda: self._node.api_server.patch_pod_status(pod, status),
            )
        except RefusedError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                log.warning("status of pod %s refused: %s", name_of(pod), error)
                # Told again until the pod is gone: a pod whose end nobody hears of holds its GPU.
                asyncio.get_running_loop().call_later(_AGAIN_SECONDS, self._pending.set)
            return
        self._sent, self._conditions = status, status["conditions"]
