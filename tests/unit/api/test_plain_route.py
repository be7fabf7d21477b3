"""A plain route hands its endpoint the request, and so may ask the framework for nothing else."""

import inspect

from fastapi import APIRouter, FastAPI, Request, Response
from starlette.testclient import TestClient

from splitjob_api.plain_route import PlainRoute
from splitjob_api.routes import split


async def echo(request: Request) -> Response:
    return Response(await request.body(), 201)


def test_the_endpoint_reads_the_body_and_gives_the_answer() -> None:
    router = APIRouter(route_class=PlainRoute)
    router.post("/echo")(echo)
    app = FastAPI()
    app.include_router(router)
    answer = TestClient(app).post("/echo", content=b"{no JSON", headers={"Content-Type": "a/json"})
    assert (answer.status_code, answer.content) == (201, b"{no JSON")


def test_what_takes_a_job_asks_for_the_request_alone() -> None:
    (route,) = split.router.routes
    assert isinstance(route, PlainRoute)
    assert inspect.iscoroutinefunction(route.endpoint)
    assert list(inspect.signature(route.endpoint).parameters) == ["request"]
    assert route.dependencies == []
