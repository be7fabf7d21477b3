"""A request whose job is being written while the service is told to stop is answered."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from unittest.mock import patch

import httpx
import uvicorn
from tests.support.fake_cluster import FakeCluster, FakeSubmissions, request_body
from tests.support.ports import free_port
from tests.support.waiting import eventually, patience
from tests.support.whole_api import TOKEN, WatchedCluster

from splitjob.signing import Signer
from splitjob_api import app as app_module
from splitjob_api.app import create_app
from splitjob_api.settings import Settings


class Held(FakeSubmissions):
    """A cluster that takes its time over a Secret.

    Attributes:
        writing: set once it is asked to write one.
        go_on: lets it.
        closed: whether the connections were closed.
    """

    def __init__(self, cluster: FakeCluster) -> None:
        super().__init__(cluster)
        self.writing = threading.Event()
        self.go_on = threading.Event()
        self.closed = False

    async def create_secret(
        self, name: str, data: Mapping[str, str], labels: Mapping[str, str]
    ) -> None:
        self.writing.set()
        await asyncio.to_thread(self.go_on.wait, patience())
        assert not self.closed
        await super().create_secret(name, data, labels)

    async def close(self) -> None:
        self.closed = True


@contextmanager
def serving(cluster: WatchedCluster) -> Iterator[uvicorn.Server]:
    """Run an API over a cluster in a thread; it has ended when the block does."""
    settings = Settings(
        demucssvc_token=TOKEN,
        environment="prod",
        api_webhook_url_allowlist="https://hooks.example.com/demucs",
    )
    with patch.object(app_module, "Cluster", lambda *_, **__: cluster):
        app = create_app(settings)
    server = uvicorn.Server(uvicorn.Config(app, port=free_port(), log_config=None, ws="none"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        eventually(lambda: server.started, pause=0.01)
        yield server
    finally:
        server.should_exit = True
        thread.join(patience())


def submit(port: int) -> httpx.Response:
    content = json.dumps(request_body()).encode()
    headers = Signer([TOKEN]).sign(content, int(time.time()))
    url = f"http://127.0.0.1:{port}/split"
    return httpx.post(url, content=content, headers=headers, timeout=patience())


def test_a_job_that_is_being_written_is_finished_and_told_before_the_end() -> None:
    cluster = WatchedCluster()
    held = Held(cluster)
    cluster.submissions = held
    with ThreadPoolExecutor(1) as caller, serving(cluster) as server:
        answer = caller.submit(submit, server.config.port)
        assert held.writing.wait(patience())
        server.should_exit = True
        eventually(lambda: not server.servers[0].is_serving(), pause=0.01)
        held.go_on.set()
        assert answer.result(patience()).status_code == 202
    assert held.closed
    assert len(cluster.splitjobs) == len(cluster.secrets) == 1
