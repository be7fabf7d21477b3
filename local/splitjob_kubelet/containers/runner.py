"""Running one container: image, configuration, start, probes, end, restart."""

import asyncio
import logging
import secrets
from dataclasses import replace
from datetime import UTC, datetime

from splitjob.quantity import bytes_of
from splitjob_kubelet.api.apiserver import ApiServerError
from splitjob_kubelet.containers.health import Health
from splitjob_kubelet.containers.image_pull import ImagePull
from splitjob_kubelet.containers.probes import ProbeError, Prober
from splitjob_kubelet.containers.program import NoCommandError, container_program
from splitjob_kubelet.containers.restarts import BackOff, NotStartableError, duration, starts_again
from splitjob_kubelet.containers.termination import termination_message
from splitjob_kubelet.node.records import Reason, Running, Terminated
from splitjob_kubelet.node.sandbox import ContainerDirectory, Sandbox, sleep_unless_stopping
from splitjob_kubelet.objects import Json, limits_of
from splitjob_kubelet.runtime import container_process, orphans
from splitjob_kubelet.runtime.container_process import Process, Program, StartError
from splitjob_kubelet.runtime.environment import ConfigurationError, rewritten
from splitjob_kubelet.runtime.logs import LogWriter, last_output
from splitjob_kubelet.runtime.memory import watch_memory
from splitjob_kubelet.runtime.orphans import id_prefix

log = logging.getLogger(__name__)

_CONFIG_RETRY_SECONDS = 2.0
_API_RETRY_SECONDS = 0.25


class ContainerRunner:
    """Runs one container of a pod until its restart policy ends it."""

    def __init__(self, container: Json, sandbox: Sandbox) -> None:
        self.container = container
        self.name: str = container["name"]
        self.entry = sandbox.record.container(self.name)
        self.directory = ContainerDirectory(sandbox.containers / self.name)
        self.started = asyncio.Event()
        self.log_writer: LogWriter | None = None
        self._sandbox = sandbox
        self._node = sandbox.node
        settings = sandbox.node.settings
        self._back_off = BackOff(settings.back_off_initial, settings.back_off_max)
        pull_back_off = BackOff(settings.back_off_initial, settings.back_off_max, free=0)
        self._image_pull = ImagePull(container, settings.environments, pull_back_off)
        self._stopping = asyncio.Event()
        self._grace = 0.0
        self._process: Process | None = None
        self._program: Program | None = None
        self._ending: asyncio.Task[None] | None = None
        self._out_of_memory = False

    @property
    def pod_name(self) -> str:
        return self._sandbox.record.name

    async def run(self) -> None:
        """Run the container until it needs no restart or must stop."""
        while not self._stopping.is_set():
            ending = self.entry.last_exit
            if ending is not None:
                if not starts_again(self._sandbox.pod, self.container, ending.exit_code):
                    return
                await self._wait_after(ending)
            await self._run_once()

    def stop(self, grace: float) -> None:
        """End the process within `grace` seconds for good; a later call may shorten that."""
        if self._stopping.is_set() and grace >= self._grace:
            return
        self._grace = grace
        self._stopping.set()
        if self._process is not None:
            self._end(self._grace)

    async def _wait_after(self, ending: Terminated) -> None:
        """Back off before a restart."""
        self._back_off.reset_after(ending.started_at, ending.finished_at)
        delay = self._back_off.next()
        left = delay - (datetime.now(UTC) - ending.finished_at).total_seconds()
        if left <= 0:
            return
        record = self._sandbox.record
        which = f"container={self.name} pod={record.name}_{record.namespace}"
        message = f"back-off {duration(delay)} restarting failed {which}({record.uid})"
        await self._wait(NotStartableError(Reason.CRASH_LOOP_BACK_OFF, message, left))

    async def _wait(self, problem: NotStartableError) -> None:
        """Report why the container waits, then sleep until the next try or until it must stop."""
        kind = "BackOff" if problem.reason.endswith("BackOff") else "Failed"
        self._warn(kind, f"{problem.reason}: {problem.message}")
        self.entry.wait_for(problem.reason, problem.message)
        self._sandbox.changed()
        await sleep_unless_stopping(problem.seconds, self._stopping)

    async def _run_once(self) -> None:
        """Start the container as soon as possible, and wait for its end."""
        attempt = self.entry.next_attempt
        container_id = f"{id_prefix(self._sandbox.record.uid)}{self.name}/{attempt}"
        self._program = None
        while self._program is None:
            try:
                self._program = await self._prepare(container_id, attempt)
            except NotStartableError as problem:
                await self._wait(problem)
            if self._stopping.is_set():
                return
        self.log_writer = LogWriter(self.directory.log(attempt))
        try:
            self._process = await container_process.start(
                self._program, self.log_writer.write, begin=self._node.preloads.start
            )
            await self._supervise(self._process, container_id)
        except StartError as error:
            self._fail_start(str(error), container_id)
        finally:
            self._process = None
            self.log_writer.close()

    async def _prepare(self, container_id: str, attempt: int) -> Program:
        image = self._image_pull.find()
        self.directory.refresh(attempt)
        try:
            return await container_program(
                self.container, self._sandbox, image, self.directory, container_id
            )
        except ConfigurationError as error:
            reason, message = Reason.CREATE_CONTAINER_CONFIG_ERROR, str(error)
        except (NoCommandError, OSError) as error:
            reason, message = Reason.CREATE_CONTAINER_ERROR, str(error)
        except ApiServerError as error:
            # The API server is unavailable, or does not know the pod's node yet.
            message = f"API server: {error}"
            raise NotStartableError(
                Reason.CONTAINER_CREATING, message, _API_RETRY_SECONDS
            ) from None
        raise NotStartableError(reason, message, _CONFIG_RETRY_SECONDS)

    def _fail_start(self, problem: str, container_id: str) -> None:
        ending = Terminated(
            exit_code=128,
            reason=Reason.START_ERROR,
            message=f"failed to start the container's process: {problem}",
            finished_at=datetime.now(UTC),
            container_id=container_id,
        )
        self._warn("Failed", f"Error: {ending.message}")
        self.entry.end(ending)
        if starts_again(self._sandbox.pod, self.container, ending.exit_code):
            self.entry.wait_for(Reason.RUN_CONTAINER_ERROR, ending.message)
        self._sandbox.changed()

    async def _supervise(self, process: Process, container_id: str) -> None:
        self._out_of_memory = False
        running = Running(started_at=datetime.now(UTC), container_id=container_id)
        self.entry.run(running)
        self._node.events.normal(
            self._sandbox.pod, "Started", f"Started container {self.name}", self.name
        )
        watchers = [asyncio.create_task(self._health().watch())]
        limit = limits_of(self.container).get("memory")
        if limit:
            family = process.family_at_a_glance
            watching = watch_memory(bytes_of(limit), family, self._exceed_memory)
            watchers.append(asyncio.create_task(watching))
        self._sandbox.changed()
        if self._stopping.is_set():
            self._end(self._grace)
        code = await process.wait()
        orphans.kill_side_commands(container_id)
        for watcher in watchers:
            watcher.cancel()
        if self._ending is not None:
            self._ending.cancel()
            self._ending = None
        if self.log_writer is not None:
            self.log_writer.close()
        self.entry.end(self._ending_of(running, code))
        self._sandbox.changed()

    def _ending_of(self, running: Running, code: int) -> Terminated:
        reason = Reason.COMPLETED if code == 0 else Reason.ERROR
        if self._out_of_memory and code == 137:
            reason = Reason.OOM_KILLED
        message = termination_message(
            self.container,
            self.directory.termination_message,
            failed=code != 0,
            log_end=lambda: last_output(self.directory.log(self.entry.restarts)),
        )
        return Terminated(
            exit_code=code,
            reason=reason,
            message=message,
            started_at=running.started_at,
            finished_at=datetime.now(UTC),
            container_id=running.container_id,
        )

    def _exceed_memory(self) -> None:
        self._out_of_memory = True
        if self._process is not None:
            self._process.kill()

    def _end(self, grace: float) -> None:
        """Run the preStop hook, then SIGTERM, then SIGKILL, all within the grace period."""
        if self._process is None:
            return
        hook = (self.container.get("lifecycle") or {}).get("preStop")
        if self._ending is None:
            text = f"Stopping container {self.name}"
            self._node.events.normal(self._sandbox.pod, "Killing", text, self.name)
            if hook and grace > 0:
                self._ending = asyncio.create_task(self._pre_stop(hook, grace))
                return
        self._process.terminate(grace)

    async def _pre_stop(self, hook: Json, grace: float) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + grace
        try:
            await self._prober().perform(hook, grace)
        except ProbeError as failure:
            self._warn("FailedPreStopHook", f"PreStopHook failed: {failure}")
        if self._process is not None:
            self._process.terminate(max(deadline - loop.time(), 2.0))

    def _prober(self) -> Prober:
        return Prober(
            container=self.container,
            pod_ip=self._sandbox.record.pod_ip or "",
            http=self._node.http,
            run_command=self._run_command,
        )

    async def _run_command(self, command: list[str], seconds: float) -> tuple[int, str]:
        return await container_process.run(self.program_of(command), seconds)

    def program_of(self, command: list[str]) -> Program:
        """A further command in the running container, for probes, hooks and exec.

        Raises:
            StartError: the container is not running.
        """
        if self._program is None or self._process is None:
            raise StartError(f'container "{self.name}" does not run')
        identity = f"{self._program.container_id}/{secrets.token_hex(4)}"
        arguments = rewritten(command, self._program.mounts)
        confinement = self._program.confinement
        if confinement is not None:
            confinement = confinement.of_process(self._process.pid)
        return replace(
            self._program, arguments=arguments, container_id=identity, confinement=confinement
        )

    def _health(self) -> Health:
        return Health(
            container=self.container,
            prober=self._prober(),
            started=self._set_started,
            ready=self._set_ready,
            unhealthy=self._restart_unhealthy,
            failed=lambda message: self._warn("Unhealthy", message),
        )

    def _set_started(self) -> None:
        self.entry.started = True
        self.started.set()
        self._sandbox.changed()

    def _set_ready(self, ready: bool) -> None:
        if self.entry.running and self.entry.ready != ready:
            self.entry.ready = ready
            self._sandbox.changed()

    def _restart_unhealthy(self, kind: str, probe: Json) -> None:
        if self._stopping.is_set() or self._process is None:
            return
        spec = self._sandbox.pod["spec"]
        grace = probe.get("terminationGracePeriodSeconds")
        if grace is None:
            grace = spec.get("terminationGracePeriodSeconds", 30)
        text = f"Container {self.name} failed {kind.lower()} probe, will be restarted"
        self._node.events.normal(self._sandbox.pod, "Killing", text, self.name)
        self._process.terminate(float(grace))

    def _warn(self, reason: str, message: str) -> None:
        self._node.events.warning(self._sandbox.pod, reason, message, self.name)
