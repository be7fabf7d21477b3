"""Starts the node; the docstring of the package describes the command line."""

import asyncio
import logging
import os
import signal
import sys

import aiohttp

from splitjob.quantity import ceiling, parse_quantity
from splitjob_kubelet.api.apiserver import ApiServer
from splitjob_kubelet.api.events import EventRecorder
from splitjob_kubelet.api.kubeconfig import AUTHORITY_FILE, KubeconfigError, load_client_config
from splitjob_kubelet.endpoint.server import Endpoint
from splitjob_kubelet.node.addresses import address_pool
from splitjob_kubelet.node.admission import GPU_RESOURCE, GpuAllocator
from splitjob_kubelet.node.node_context import NodeContext
from splitjob_kubelet.node.registration import keep_alive, machine_capacity, register
from splitjob_kubelet.pods.agent import Agent
from splitjob_kubelet.runtime import orphans
from splitjob_kubelet.runtime.isolation import IsolationError, find_isolation
from splitjob_kubelet.runtime.preloaded import Preloads
from splitjob_kubelet.settings import Settings, parse

log = logging.getLogger(__name__)


async def serve(settings: Settings) -> None:
    """Run the node until SIGTERM or SIGINT."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    settings.root.mkdir(mode=0o700, parents=True, exist_ok=True)
    settings.pods_root.mkdir(exist_ok=True)
    config = load_client_config(settings.kubeconfig)
    (settings.root / AUTHORITY_FILE).write_text(config.authority, encoding="ascii")
    orphans.kill_left_over(directory.name for directory in settings.pods_root.iterdir())
    isolation = await find_isolation(settings)
    log.info("isolation of pods: %s", isolation.level)
    capacity = machine_capacity(settings.root) | settings.capacity
    async with ApiServer(config) as api_server, aiohttp.ClientSession() as http:
        node = NodeContext(
            settings=settings,
            client_config=config,
            api_server=api_server,
            capacity=capacity,
            addresses=address_pool(),
            gpus=GpuAllocator(ceiling(parse_quantity(capacity.get(GPU_RESOURCE, "0")))),
            events=EventRecorder(api_server, settings.name),
            http=http,
            isolation=isolation,
            preloads=Preloads(settings.preloads),
        )
        await _run(node, stopping)


async def _run(node: NodeContext, stopping: asyncio.Event) -> None:
    agent = Agent(node)
    endpoint = Endpoint(node, agent)
    await endpoint.start()
    tasks = [
        asyncio.create_task(_stay_registered(node)),
        asyncio.create_task(node.events.run()),
        asyncio.create_task(agent.run()),
        asyncio.create_task(stopping.wait()),
    ]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()  # all but the last end by an exception only, raised here
    finally:
        for task in tasks:
            task.cancel()
        await agent.shut_down()
        await endpoint.stop()


async def _stay_registered(node: NodeContext) -> None:
    started = await register(node.api_server, node.settings, node.capacity)
    await keep_alive(node.api_server, node.settings, started)


def main() -> None:
    settings = parse(sys.argv[1:])
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    os.umask(0o022)  # pods that run as other users read some of these files
    orphans.become_subreaper()
    try:
        asyncio.run(serve(settings))
    except (IsolationError, KubeconfigError, OSError) as error:
        sys.exit(f"the node cannot start: {error}")


if __name__ == "__main__":
    main()
