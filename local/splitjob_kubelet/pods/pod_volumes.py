"""Setting up the volumes of one pod, and refreshing their tokens, Secrets and ConfigMaps."""

import asyncio
import logging
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from splitjob_kubelet.api.apiserver import ApiServerError
from splitjob_kubelet.containers.program import fetch_objects
from splitjob_kubelet.node.sandbox import Sandbox, sleep_unless_stopping
from splitjob_kubelet.objects import Json, name_of, namespace_of
from splitjob_kubelet.runtime.environment import ConfigurationError
from splitjob_kubelet.runtime.volume_store import is_current, make_directories, write_files
from splitjob_kubelet.runtime.volumes import (
    File,
    TokenRequest,
    projections,
    token_requests,
    unsupported_volume,
    volume_files,
    volume_objects,
)

log = logging.getLogger(__name__)

_REFRESH_SECONDS = 60.0
_FIRST_RETRY_SECONDS = 0.25
_LONGEST_RETRY_SECONDS = 5.0
_TOKEN_REFRESH_AFTER = 0.8
_LONGEST_TOKEN_USE = timedelta(hours=24)


class PodVolumes:
    """The volumes of one pod."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._tokens: dict[TokenRequest, tuple[str, datetime]] = {}

    async def fill(self, stopping: asyncio.Event) -> bool:
        """Set up all volumes, waiting for the Secrets and ConfigMaps in them to exist.

        Returns:
            False if the pod must stop before that.
        """
        delay = _FIRST_RETRY_SECONDS
        while not stopping.is_set():
            try:
                await self._fill_once()
            except ApiServerError as error:
                # The API server is unavailable, or does not know the pod's node yet.
                log.info("volumes of pod %s: %s", name_of(self._sandbox.pod), error)
            except (ConfigurationError, OSError) as error:
                message = f"MountVolume.SetUp failed: {error}"
                self._sandbox.node.events.warning(self._sandbox.pod, "FailedMount", message)
            else:
                return True
            await sleep_unless_stopping(delay, stopping)
            delay = min(delay * 2, _LONGEST_RETRY_SECONDS)
        return False

    async def keep_fresh(self) -> None:
        """Update the files once a minute until cancelled."""
        volumes = self._file_volumes()
        while volumes:
            await asyncio.sleep(_REFRESH_SECONDS)
            for volume in volumes:
                try:
                    await self._write(volume)
                except (ConfigurationError, ApiServerError, OSError) as error:
                    log.warning("pod %s: %s", name_of(self._sandbox.pod), error)

    async def _fill_once(self) -> None:
        problem = unsupported_volume(self._sandbox.pod)
        if problem:
            raise ConfigurationError(problem)
        sandbox = self._sandbox
        make_directories(sandbox.pod, sandbox.volumes, sandbox.volume_owner)
        await asyncio.gather(*(self._write(volume) for volume in self._file_volumes()))

    def _file_volumes(self) -> list[Json]:
        volumes = self._sandbox.pod["spec"].get("volumes") or []
        return [volume for volume in volumes if projections(volume) is not None]

    async def _write(self, volume: Json) -> None:
        pod, api_server = self._sandbox.pod, self._sandbox.node.api_server
        sources = volume_objects(volume)
        objects, tokens = await asyncio.gather(
            fetch_objects(api_server, namespace_of(pod), sources),
            self._fresh_tokens(volume),
        )
        files: Mapping[str, File] = volume_files(volume, pod, self._sandbox.facts, objects, tokens)
        directory = self._sandbox.volumes / volume["name"]
        if not is_current(directory, files):
            write_files(directory, files, self._sandbox.volume_owner)

    async def _fresh_tokens(self, volume: Json) -> dict[TokenRequest, str]:
        """Tokens for a volume, renewed after 80 % of their lifetime or a day."""
        tokens = {}
        for request in token_requests(volume):
            now = datetime.now(UTC)
            if request not in self._tokens or self._tokens[request][1] <= now:
                token, expires = await self._sandbox.node.api_server.request_token(
                    self._sandbox.pod, request
                )
                use = min((expires - now) * _TOKEN_REFRESH_AFTER, _LONGEST_TOKEN_USE)
                self._tokens[request] = token, now + use
            tokens[request] = self._tokens[request][0]
        return tokens
