"""An API server that hangs takes no more than the requests that ask it."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from tests.support.waiting import eventually, patience

from splitjob_api.cluster_limit import AT_ONCE, ClusterLimit
from splitjob_api.cluster_route import ClusterRoute
from splitjob_api.problems import install_handlers
from splitjob_api.routes import (
    actions,
    data,
    events,
    files,
    health,
    jobs,
    models,
    queue,
    resource,
    split,
    stems,
    uploads,
)

MODULES = (
    *(actions, data, events, files, health, jobs, models),
    *(queue, resource, split, stems, uploads),
)


class Hanging:
    """An app with one route that waits for the cluster, and one that takes a thread and no place.

    Attributes:
        app: nobody asks it anything yet; who is one too many is told so at once.
        answer: lets those who wait go on.
        waiting: how many do.
    """

    def __init__(self) -> None:
        self.app = FastAPI()
        self.answer = threading.Event()
        self.waiting = 0
        self.app.state.services = SimpleNamespace(cluster_limit=ClusterLimit(AT_ONCE, 0.05))
        router = APIRouter(route_class=ClusterRoute)
        router.get("/asks")(self.asks)
        self.app.include_router(router)
        self.app.get("/does-not")(self.does_not)
        install_handlers(self.app)

    def asks(self) -> bool:
        self.waiting += 1
        return self.answer.wait(patience())

    def does_not(self) -> bool:
        return True


@asynccontextmanager
async def client_of(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app)
    async with (
        asyncio.timeout(patience()),
        httpx.AsyncClient(transport=transport, base_url="http://x") as client,
    ):
        yield client


def test_while_the_cluster_hangs_some_are_told_to_come_back_and_others_are_served() -> None:
    hanging = Hanging()

    async def run() -> None:
        async with client_of(hanging.app) as client, asyncio.TaskGroup() as tasks:
            asked = [tasks.create_task(client.get("/asks")) for _ in range(AT_ONCE)]
            await asyncio.to_thread(eventually, lambda: hanging.waiting == AT_ONCE, pause=0.01)
            refused = await asyncio.gather(*(client.get("/asks") for _ in range(20)))
            served = await client.get("/does-not")
            hanging.answer.set()
        assert {answer.status_code for answer in refused} == {503}
        assert refused[0].json()["code"] == "cluster_unavailable"
        assert int(refused[0].headers["Retry-After"]) > 0
        assert served.status_code == 200
        assert {task.result().status_code for task in asked} == {200}
        async with client_of(hanging.app) as client:
            assert (await client.get("/asks")).status_code == 200, "the served count no more"

    asyncio.run(run())


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_each_route_that_takes_a_thread_takes_a_place(module: object) -> None:
    for route in module.router.routes:  # type: ignore[attr-defined]
        if isinstance(route, APIRoute) and not asyncio.iscoroutinefunction(route.endpoint):
            assert isinstance(route, ClusterRoute), route
