"""Probes and lifecycle hooks of containers."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Self

import aiohttp

from splitjob_kubelet.objects import Json
from splitjob_kubelet.runtime.container_process import StartError

RunCommand = Callable[[list[str], float], Awaitable[tuple[int, str]]]
"""Runs a command in the container: arguments, timeout in seconds -> exit code, output."""


class ProbeError(Exception):
    """A probe failed; the message is shown by `kubectl describe`."""


@dataclass(frozen=True)
class Schedule:
    """The schedule and thresholds of a probe. Times are in seconds."""

    initial_delay: float
    period: float
    timeout: float
    successes: int
    failures: int

    @classmethod
    def of(cls, probe: Json) -> Self:
        return cls(
            initial_delay=probe.get("initialDelaySeconds", 0),
            period=probe.get("periodSeconds", 10),
            timeout=probe.get("timeoutSeconds", 1),
            successes=probe.get("successThreshold", 1),
            failures=probe.get("failureThreshold", 3),
        )


@dataclass(frozen=True)
class Prober:
    """Performs the probe and hook actions of one running container."""

    container: Json
    pod_ip: str
    http: aiohttp.ClientSession
    run_command: RunCommand

    async def perform(self, action: Json, seconds: float) -> None:
        """Perform the action of a probe or hook once.

        Args:
            action: with one of exec, httpGet, tcpSocket, sleep.
            seconds: its timeout.

        Raises:
            ProbeError: it failed.
        """
        try:
            if "exec" in action:
                await self._execute(action["exec"]["command"], seconds)
                return
            async with asyncio.timeout(seconds):
                if "httpGet" in action:
                    await self._get(action["httpGet"])
                elif "tcpSocket" in action:
                    await self._connect(action["tcpSocket"])
                elif "sleep" in action:
                    await asyncio.sleep(action["sleep"]["seconds"])
                else:
                    raise ProbeError("only exec, httpGet, tcpSocket and sleep exist on this node")
        except TimeoutError:
            raise ProbeError(f"no answer within {seconds:g} s") from None

    async def _execute(self, command: list[str], seconds: float) -> None:
        try:
            code, output = await self.run_command(command, seconds)
        except StartError as error:
            raise ProbeError(str(error)) from None
        if code != 0:
            raise ProbeError(output.strip() or f"exit code {code}")

    async def _get(self, action: Json) -> None:
        scheme = action.get("scheme", "HTTP").lower()
        host = action.get("host") or self.pod_ip
        path = "/" + action.get("path", "/").lstrip("/")
        url = f"{scheme}://{host}:{self._port(action['port'])}{path}"
        headers = {entry["name"]: entry["value"] for entry in action.get("httpHeaders") or []}
        headers.setdefault("User-Agent", "kube-probe/process-node")
        try:
            async with self.http.get(
                url, headers=headers, ssl=False, allow_redirects=False
            ) as response:
                if not 200 <= response.status < 400:
                    raise ProbeError(f"HTTP probe failed with statuscode: {response.status}")
        except (aiohttp.ClientError, OSError) as error:
            raise ProbeError(f'Get "{url}": {error}') from None

    async def _connect(self, action: Json) -> None:
        host = action.get("host") or self.pod_ip
        try:
            _, writer = await asyncio.open_connection(host, self._port(action["port"]))
        except OSError as error:
            raise ProbeError(str(error)) from None
        writer.close()

    def _port(self, port: int | str) -> int:
        if isinstance(port, int):
            return port
        for entry in self.container.get("ports") or []:
            if entry.get("name") == port:
                return int(entry["containerPort"])
        raise ProbeError(f"the container has no port named {port!r}")


async def follow(
    probe: Json,
    perform: Callable[[], Awaitable[None]],
    report: Callable[[bool], None],
    failed: Callable[[str], None],
) -> None:
    """Run a probe on its schedule, until cancelled.

    Args:
        probe: the Probe of the container's spec.
        perform: performs it once; raises ProbeError.
        report: called with True or False whenever a threshold of results in a row is reached.
        failed: called with the message of every failure.
    """
    schedule = Schedule.of(probe)
    await asyncio.sleep(schedule.initial_delay)
    succeeded, row = True, 0
    while True:
        before = succeeded
        try:
            await perform()
            succeeded = True
        except ProbeError as failure:
            succeeded = False
            failed(str(failure))
        row = row + 1 if succeeded == before else 1
        if row >= (schedule.successes if succeeded else schedule.failures):
            report(succeeded)
        await asyncio.sleep(schedule.period)
