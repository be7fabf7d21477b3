"""Startup, readiness and liveness of one running container."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from splitjob_kubelet.containers.probes import Prober, follow
from splitjob_kubelet.objects import Json


@dataclass(frozen=True)
class Health:
    """Runs the probes of a container and says what they find."""

    container: Json
    prober: Prober
    started: Callable[[], None]
    ready: Callable[[bool], None]
    unhealthy: Callable[[str, Json], None]
    """Told the kind of probe, and the probe, that wants the container restarted."""
    failed: Callable[[str], None]
    """Told every failure, in words."""

    async def watch(self) -> None:
        """Probe for as long as the container runs: ends by being cancelled."""
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

        def verdict(success: bool) -> None:
            if success:
                passed.set()
            restart(success)

        probing = asyncio.create_task(self._probe("Startup", probe, verdict))
        try:
            await passed.wait()
        finally:
            probing.cancel()

    def _restart_on_failure(self, kind: str, probe: Json) -> Callable[[bool], None]:
        def verdict(success: bool) -> None:
            if not success:
                self.unhealthy(kind, probe)

        return verdict

    async def _probe(self, kind: str, probe: Json, verdict: Callable[[bool], None]) -> None:
        timeout = float(probe.get("timeoutSeconds", 1))
        await follow(
            probe,
            lambda: self.prober.perform(probe, timeout),
            verdict,
            lambda message: self.failed(f"{kind} probe failed: {message}"),
        )
