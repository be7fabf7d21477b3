"""The startup, readiness and liveness probes of one running container."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from splitjob_kubelet.containers.probes import Prober, follow
from splitjob_kubelet.objects import Json


@dataclass(frozen=True)
class Health:
    """Runs the probes of a container and calls back with their results."""

    container: Json
    prober: Prober
    started: Callable[[], None]
    ready: Callable[[bool], None]
    unhealthy: Callable[[str, Json], None]
    """Called with the kind of probe, and the probe, when the container must be restarted."""
    failed: Callable[[str], None]
    """Called with a message for every failure."""

    async def watch(self) -> None:
        """Run the probes until cancelled."""
        startup = self.container.get("startupProbe")
        if startup:
            await self._until_started(startup)
        self.started()
        readiness = self.container.get("readinessProbe")
        liveness = self.container.get("livenessProbe")
        if not readiness:
            self.ready(True)
        async with asyncio.TaskGroup() as group:
            if readiness:
                group.create_task(self._probe("Readiness", readiness, self.ready))
            if liveness:
                restart = self._restart_on_failure("Liveness", liveness)
                group.create_task(self._probe("Liveness", liveness, restart))

    async def _until_started(self, probe: Json) -> None:
        passed = asyncio.Event()
        restart = self._restart_on_failure("Startup", probe)

        def report(success: bool) -> None:
            if success:
                passed.set()
            restart(success)

        probing = asyncio.create_task(self._probe("Startup", probe, report))
        try:
            await passed.wait()
        finally:
            probing.cancel()

    def _restart_on_failure(self, kind: str, probe: Json) -> Callable[[bool], None]:
        def report(success: bool) -> None:
            if not success:
                self.unhealthy(kind, probe)

        return report

    async def _probe(self, kind: str, probe: Json, report: Callable[[bool], None]) -> None:
        timeout = float(probe.get("timeoutSeconds", 1))
        await follow(
            probe,
            lambda: self.prober.perform(probe, timeout),
            report,
            lambda message: self.failed(f"{kind} probe failed: {message}"),
        )
