"""Running one pod: admission, volumes, containers, end, removal."""

import asyncio
import logging
import shutil
from collections.abc import Callable
from datetime import UTC, datetime

from splitjob_kubelet.api.apiserver import until_answered
from splitjob_kubelet.containers.runner import ContainerRunner
from splitjob_kubelet.node.admission import admission_failure
from splitjob_kubelet.node.node_context import NodeContext
from splitjob_kubelet.node.records import PodFailure, PodRecord, Reason, load
from splitjob_kubelet.node.sandbox import ContainerDirectory, Sandbox
from splitjob_kubelet.objects import (
    Json,
    all_containers,
    init_containers,
    is_deleted,
    is_sidecar,
    is_terminal,
    main_containers,
    name_of,
    namespace_of,
    termination_grace_seconds,
    uid_of,
)
from splitjob_kubelet.pods.ephemeral_storage import eviction, has_storage_limits
from splitjob_kubelet.pods.pod_volumes import PodVolumes
from splitjob_kubelet.pods.recovery import recovered
from splitjob_kubelet.pods.reporting import Reporter
from splitjob_kubelet.pods.status import init_container_done
from splitjob_kubelet.runtime.volume_store import empty_volumes

log = logging.getLogger(__name__)

_STORAGE_SECONDS = 2.0
_EVICTION_GRACE = 1.0


class PodWorker:
    """Runs one pod and reports its status until it is deleted from the API."""

    def __init__(self, pod: Json, node: NodeContext, active: Callable[[], list[Json]]) -> None:
        """Create the worker; `run` starts it.

        Args:
            pod: from the API server.
            node: the settings and connections of the node.
            active: returns the other pods that use resources of the node.
        """
        self.pod = pod
        self.runners: dict[str, ContainerRunner] = {}
        self._node = node
        self._active = active
        self._stopping = asyncio.Event()
        self._delete = asyncio.Event()
        self._gone = False
        self._leaving = False
        self._admitted = False
        self.sandbox = Sandbox(node, pod, _open_record(pod, node), self._changed)
        self.reporter = Reporter(node, self.sandbox)
        self.update(pod)

    @property
    def record(self) -> PodRecord:
        return self.sandbox.record

    @property
    def uses_resources(self) -> bool:
        return self._admitted and not self.record.finished

    def update(self, pod: Json) -> None:
        """Handle a change of the pod in the API."""
        self.pod = self.sandbox.pod = pod
        if is_deleted(pod):
            self._delete.set()
            self.stop(termination_grace_seconds(pod))
        elif is_terminal(pod) and not self.record.finished:
            self.stop(termination_grace_seconds(pod))

    def removed(self) -> None:
        """Handle the pod's removal from the API, after which its status cannot be reported."""
        self._gone = True
        self.reporter.close()
        self._delete.set()
        self.stop(min(termination_grace_seconds(self.pod), 1))

    def stop(self, grace: float, failure: PodFailure | None = None) -> None:
        """End the pod; a later call can only shorten the grace period.

        Args:
            grace: seconds between SIGTERM and SIGKILL.
            failure: the reason, if the node ends the pod.
        """
        if self.record.finished:
            return
        self.record.failure = self.record.failure or failure
        self._stopping.set()
        for runner in self.runners.values():
            runner.stop(grace)

    def leave(self, grace: float) -> None:
        """End the processes because the node ends; its next start reports them."""
        self._leaving = True
        self.reporter.close()
        self.stop(grace)
        self._delete.set()

    async def run(self) -> None:
        """Run the pod until it is removed."""
        reporting = asyncio.create_task(self.reporter.run())
        try:
            if self.record.finished and not is_terminal(self.pod):
                self._changed()  # the node died before it reported the end
            if not self.record.finished:
                await self._run_admitted()
                if self._leaving:
                    return
                await self._release()
                self.record.finished = True
                self._changed()
            await self._delete.wait()
            if self._leaving:
                return
            if not self._gone:
                await self.reporter.flush()
                await until_answered(
                    f"deleting pod {name_of(self.pod)}",
                    lambda: self._node.api_server.delete_pod(self.pod),
                )
        finally:
            reporting.cancel()
        await asyncio.to_thread(shutil.rmtree, self.sandbox.directory, ignore_errors=True)

    def _changed(self) -> None:
        self.reporter.changed()

    async def _run_admitted(self) -> None:
        settings = self._node.settings
        self.record.failure = admission_failure(self.pod, self._active(), self._node.capacity)
        if self.record.failure:
            self._node.events.warning(
                self.pod, self.record.failure.reason, self.record.failure.message
            )
            return
        self._admitted = True
        shared = self.pod["spec"].get("hostNetwork")
        self.record.pod_ip = settings.address if shared else self._node.addresses.allocate()
        self.sandbox.gpu_shares = self._node.gpus.allocate(self.record.uid, self.pod)
        self._changed()
        helpers = [asyncio.create_task(self._enforce_deadline())]
        try:
            volumes = PodVolumes(self.sandbox)
            if not await volumes.fill(self._stopping):
                return
            self.record.volumes_ready = True
            helpers.append(asyncio.create_task(volumes.keep_fresh()))
            if has_storage_limits(self.pod):
                helpers.append(asyncio.create_task(self._enforce_storage()))
            await self._run_containers()
        finally:
            for helper in helpers:
                helper.cancel()

    async def _run_containers(self) -> None:
        sidecars: list[asyncio.Task[None]] = []
        try:
            for container in init_containers(self.pod):
                if not await self._initialize(container, sidecars):
                    return
            mains = [self._runner(container) for container in main_containers(self.pod)]
            await asyncio.gather(*(runner.run() for runner in mains))
        finally:
            grace = termination_grace_seconds(self.pod)
            for container in filter(is_sidecar, init_containers(self.pod)):
                if container["name"] in self.runners:
                    self.runners[container["name"]].stop(grace)
            await asyncio.gather(*sidecars)

    async def _initialize(self, container: Json, sidecars: list[asyncio.Task[None]]) -> bool:
        """Run one init container; returns whether the next one may start."""
        entry = self.record.container(container["name"])
        runner = self._runner(container)
        if not is_sidecar(container):
            await runner.run()
            return init_container_done(container, entry) and not self._stopping.is_set()
        running = asyncio.create_task(runner.run())
        sidecars.append(running)
        started = asyncio.create_task(runner.started.wait())
        await asyncio.wait({running, started}, return_when=asyncio.FIRST_COMPLETED)
        started.cancel()
        return not self._stopping.is_set()

    def runner_of(self, name: str) -> ContainerRunner | None:
        """The runner of a container, even if the container has not started or has ended."""
        for container in all_containers(self.pod):
            if container["name"] == name:
                return self.runners.get(name) or ContainerRunner(container, self.sandbox)
        return None

    def _runner(self, container: Json) -> ContainerRunner:
        runner = ContainerRunner(container, self.sandbox)
        self.runners[runner.name] = runner
        if self._stopping.is_set():
            runner.stop(0)
        return runner

    async def _enforce_deadline(self) -> None:
        seconds = self.pod["spec"].get("activeDeadlineSeconds")
        if seconds is None:
            return
        age = (datetime.now(UTC) - self.record.start_time).total_seconds()
        await asyncio.sleep(max(seconds - age, 0))
        message = "Pod was active on the node longer than the specified deadline"
        failure = PodFailure(reason=Reason.DEADLINE_EXCEEDED, message=message)
        self._node.events.normal(self.pod, failure.reason, message)
        self.stop(termination_grace_seconds(self.pod), failure)

    async def _enforce_storage(self) -> None:
        while True:
            failure = await asyncio.to_thread(
                eviction, self.pod, self.sandbox.volumes, self.sandbox.containers
            )
            if failure:
                self._node.events.warning(self.pod, failure.reason, failure.message)
                self.stop(_EVICTION_GRACE, failure)
                return
            await asyncio.sleep(_STORAGE_SECONDS)

    async def _release(self) -> None:
        """Release the pod's address, GPUs and files; its logs stay until it is deleted."""
        if self.record.pod_ip and not self.pod["spec"].get("hostNetwork"):
            self._node.addresses.release(self.record.pod_ip)
        self._node.gpus.release(self.record.uid)
        await asyncio.to_thread(empty_volumes, self.sandbox.volumes)
        for container in all_containers(self.pod):
            ContainerDirectory(self.sandbox.containers / container["name"]).empty()


def _open_record(pod: Json, node: NodeContext) -> PodRecord:
    """The pod's record from an earlier run of the node, or a new one."""
    directory = node.settings.pods_root / uid_of(pod)
    directory.mkdir(parents=True, exist_ok=True)
    stored = load(directory / Sandbox.RECORD)
    if stored is not None:
        return stored if stored.finished else recovered(stored)
    return PodRecord(
        uid=uid_of(pod),
        namespace=namespace_of(pod),
        name=name_of(pod),
        start_time=datetime.now(UTC).replace(microsecond=0),
        finished=is_terminal(pod),
    )
