"""HEAD is served as GET, and named as HEAD in log and metrics."""

from fastapi import FastAPI, Request
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from splitjob_api.head_only import is_head_only
from splitjob_api.middleware.head import HeadMiddleware

app = FastAPI()
app.add_middleware(HeadMiddleware)


@app.get("/here")
async def here(request: Request) -> dict[str, bool]:
    return {"head": is_head_only(request.scope)}


@app.post("/there")
async def there() -> None:
    """Take no GET."""


def test_head_is_answered_where_get_is() -> None:
    client = TestClient(app)
    assert client.head("/here").status_code == 200
    assert client.get("/here").json() == {"head": False}
    assert client.head("/there").status_code == 405
    assert client.head("/nowhere").status_code == 404


def test_the_route_of_a_head_is_known_outside_and_its_method_is_head() -> None:
    seen: list[Scope] = []

    async def outside(scope: Scope, receive: Receive, send: Send) -> None:
        await app(scope, receive, send)
        seen.append(scope)

    TestClient(outside).head("/here")
    assert seen[-1]["method"] == "HEAD"
