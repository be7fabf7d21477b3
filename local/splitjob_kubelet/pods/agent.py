"""Watching the pods bound to the node, with one worker for each."""

import asyncio
import logging
import shutil

from splitjob_kubelet.api.apiserver import ApiServerError
from splitjob_kubelet.node.node_context import NodeContext
from splitjob_kubelet.objects import Json, name_of, namespace_of, uid_of
from splitjob_kubelet.pods.pod_worker import PodWorker

log = logging.getLogger(__name__)

_RETRY_SECONDS = 0.5
_SHUTDOWN_GRACE = 1.0
_SHUTDOWN_SECONDS = 3.0


class Agent:
    """All pods of the node."""

    def __init__(self, node: NodeContext) -> None:
        self._node = node
        self._workers: dict[str, PodWorker] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    @property
    def pods(self) -> list[Json]:
        """Every pod on the node."""
        return [worker.pod for worker in self._workers.values()]

    def find(self, namespace: str, name: str) -> PodWorker | None:
        """The newest pod of that name."""
        found = [
            worker
            for worker in self._workers.values()
            if (namespace_of(worker.pod), name_of(worker.pod)) == (namespace, name)
        ]
        return found[-1] if found else None

    async def run(self) -> None:
        """List and watch pods for ever, also across outages of the API server."""
        node = self._node.settings.name
        while True:
            try:
                pods, version = await self._node.api_server.pods_of(node)
                self._adopt(pods)
                await self._watch(version)
            except ApiServerError as error:
                log.info("pods are listed again: %s", error)
                await asyncio.sleep(_RETRY_SECONDS)

    async def shut_down(self) -> None:
        """End every process without reporting it: the cluster or the node is ending."""
        for worker in self._workers.values():
            worker.leave(_SHUTDOWN_GRACE)
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=_SHUTDOWN_SECONDS)

    async def _watch(self, version: str) -> None:
        """Watch changes, reconnecting from the last version seen, until the watch fails."""
        node = self._node.settings.name
        while True:
            async for kind, pod in self._node.api_server.watch_pods_of(node, version):
                version = pod["metadata"]["resourceVersion"]
                if kind == "DELETED":
                    self._remove(uid_of(pod))
                elif kind != "BOOKMARK":
                    self._take(pod)

    def _adopt(self, pods: list[Json]) -> None:
        """Add, update and remove pods so that they match a list from the API server."""
        listed = {uid_of(pod) for pod in pods}
        for uid in set(self._workers) - listed:
            self._remove(uid)
        for pod in pods:
            self._take(pod)
        for directory in self._node.settings.pods_root.iterdir():
            if directory.name not in listed and directory.name not in self._tasks:
                shutil.rmtree(directory, ignore_errors=True)

    def _take(self, pod: Json) -> None:
        uid = uid_of(pod)
        worker = self._workers.get(uid)
        if worker is not None:
            worker.update(pod)
            return
        worker = PodWorker(pod, self._node, lambda: self._active_beside(uid))
        self._workers[uid] = worker
        task = asyncio.create_task(worker.run(), name=f"pod {name_of(pod)}")
        self._tasks[uid] = task
        task.add_done_callback(lambda done: self._done(uid, done))

    def _remove(self, uid: str) -> None:
        worker = self._workers.pop(uid, None)
        if worker is not None:
            worker.removed()

    def _done(self, uid: str, task: asyncio.Task[None]) -> None:
        self._tasks.pop(uid, None)
        if not task.cancelled() and task.exception() is not None:
            log.error("%s: a defect of the node", task.get_name(), exc_info=task.exception())

    def _active_beside(self, uid: str) -> list[Json]:
        return [
            worker.pod
            for worker in self._workers.values()
            if worker.record.uid != uid and worker.uses_resources
        ]
