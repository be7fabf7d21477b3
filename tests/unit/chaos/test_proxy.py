"""What the proxy of a storm does to requests, in each of its moods."""

import json
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import httpx
import pytest
from tests.support.waiting import patience
from tests.support.web import Request, Web, answer, web_server

from chaos.proxy import CALM, CUTS, DELAYS, HOLDS, LOSES, Proxy, Upstream
from splitjob_local.cluster.controlplane import HOSTS
from splitjob_local.cluster.pki import Authority

WATCH = "/pods?watch=true"


@dataclass
class Behind:
    """A server, the proxy before it, and a client of the proxy."""

    proxy: Proxy
    client: httpx.Client
    web: Web

    @property
    def reached(self) -> list[str]:
        return [request for request, _, _ in self.web.requests]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def behind(authority: Authority) -> Iterator[Behind]:
    proxy = Proxy(Random(1))
    trusted = ssl.create_default_context(cafile=authority.certificate)
    with web_server(identity=authority.server("server", HOSTS), otherwise=echo) as web:
        proxy.start(
            Upstream(web.url, Path(authority.certificate), authority.server("proxy", HOSTS))
        )
        url = f"https://127.0.0.1:{proxy.port}"
        with httpx.Client(base_url=url, verify=trusted, timeout=patience()) as client:
            yield Behind(proxy, client, web)
        proxy.close()


def echo(request: Request) -> None:
    """Answer with what was asked."""
    said = {
        "path": request.path,
        "body": request.body.decode(),
        "token": request.headers["Authorization"],
    }
    content = json.dumps(said).encode()
    request.send_response(201)
    request.send_header("Content-Length", str(len(content)))
    request.end_headers()
    request.wfile.write(content)


def test_a_calm_proxy_passes_everything_on_as_it_is(behind: Behind) -> None:
    for mood in (CALM, DELAYS):
        behind.proxy.be(mood)
        headers = {"Authorization": "Bearer x"}
        answered = behind.client.post("/a%2Fb?c=%3D", content="{}", headers=headers)
        assert answered.status_code == 201
        assert answered.json() == {"path": "/a%2Fb?c=%3D", "body": "{}", "token": "Bearer x"}


def test_a_client_that_takes_no_compressed_answer_is_not_made_to(behind: Behind) -> None:
    del behind.client.headers["Accept-Encoding"]
    behind.client.get("/splitjobs")
    (_, headers, _) = behind.web.requests[-1]
    assert "Accept-Encoding" not in headers


@pytest.mark.parametrize("mood", [CUTS, LOSES])
def test_a_request_that_is_cut_never_arrives_and_one_whose_answer_is_lost_does(
    behind: Behind, mood: str
) -> None:
    behind.proxy.be(mood)
    with pytest.raises(httpx.TransportError):
        behind.client.delete("/pods/x")
    assert behind.reached == ([] if mood == CUTS else ["DELETE /pods/x"])
    assert behind.proxy.spoilt == 1


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_refusal_is_one_of_the_api_server(behind: Behind, status: int) -> None:
    behind.proxy.be(f"answers {status}")
    refused = behind.client.put("/pods/x", content="{}")
    assert (refused.status_code, refused.json()["code"]) == (status, status)
    assert refused.headers.get("Retry-After") == ("1" if status == 429 else None)
    assert behind.reached == []


def test_only_what_is_read_is_too_old(behind: Behind) -> None:
    behind.proxy.be("answers 410")
    assert behind.client.get("/pods").json()["reason"] == "Expired"
    assert behind.client.post("/pods", content="{}").status_code == 201


def test_a_share_of_nothing_spoils_nothing(behind: Behind) -> None:
    behind.proxy.be("answers 500", 0.0)
    behind.web.serve("/pods", answer(204))
    assert {behind.client.get("/pods").status_code for _ in range(20)} == {204}


@pytest.fixture
def go_on(behind: Behind) -> threading.Event:
    """A watch gives one line at once, and the next one when this is set."""
    going = threading.Event()

    def watch(request: Request) -> None:
        request.send_response(200)
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        for line in (b"1\n", b"2\n"):
            request.wfile.write(b"2\r\n" + line + b"\r\n")
            going.wait(patience())
        request.wfile.write(b"0\r\n\r\n")

    behind.web.serve("/pods", watch)
    return going


def test_what_a_watch_brings_is_held_back_until_the_proxy_is_calm(
    behind: Behind, go_on: threading.Event
) -> None:
    with behind.client.stream("GET", WATCH) as watch:
        lines = watch.iter_lines()
        assert next(lines) == "1"
        behind.proxy.be(HOLDS)
        go_on.set()
        assert behind.client.post("/others").status_code == 201, "all else passes"
        calm = threading.Event()

        def calm_down() -> None:
            calm.set()
            behind.proxy.be(CALM)

        threading.Timer(0.2, calm_down).start()
        assert next(lines) == "2"
        assert calm.is_set(), "it came before"


def test_a_watch_under_way_is_told_that_it_is_too_old(
    behind: Behind, go_on: threading.Event
) -> None:
    with behind.client.stream("GET", WATCH) as watch:
        lines = watch.iter_lines()
        assert next(lines) == "1"
        behind.proxy.be("answers 410")
        go_on.set()
        told = json.loads(next(lines))
        assert (told["type"], told["object"]["code"]) == ("ERROR", 410)
        assert list(lines) == []


def test_a_watch_under_way_is_cut(behind: Behind, go_on: threading.Event) -> None:
    with behind.client.stream("GET", WATCH) as watch:
        lines = watch.iter_lines()
        assert next(lines) == "1"
        behind.proxy.be(CUTS)
        go_on.set()
        with pytest.raises(httpx.TransportError):
            list(lines)
