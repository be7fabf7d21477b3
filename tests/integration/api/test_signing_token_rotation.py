"""The token that signs is replaced, as docs/backup.md says, while callers go on asking."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from tests.support import plain_http
from tests.support.api_harness import Api, body, started
from tests.support.waiting import eventually, patience

from splitjob.signing import Signer
from splitjob_local.cluster.local_cluster import LocalCluster

OLD, NEW = "the-token-of-today", "the-token-of-tomorrow"
NAMESPACE = "test-token-rotation"
CALLERS = 2


@dataclass
class Caller:
    """Asks without a pause, each time whichever replica is next.

    Attributes:
        name: of its songs.
        replicas: that serve now.
        token: it signs with.
        answers: the status of each request so far.
        broken: requests that had no answer.
    """

    name: str
    replicas: list[Api]
    token: str = OLD
    answers: list[int] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def ask(self) -> None:
        """Send one request: every eighth for a new song, the others to read."""
        number = len(self.answers)
        replicas = list(self.replicas)
        url = replicas[number % len(replicas)].url
        content = b""
        method, path = "GET", "/jobs?limit=1"
        if number % 8 == 0:
            method, path = "POST", "/split"
            content = json.dumps(body(f"{self.name}-{number}")).encode()
        payload = content or f"{method} {path}".encode()
        headers = Signer([self.token]).sign(payload, int(time.time()))
        try:
            answer = plain_http.request(
                method, url + path, content=content, headers=headers, timeout=patience()
            )
        except httpx.HTTPError as error:
            self.broken.append(repr(error))
        else:
            self.answers.append(answer.status_code)


@pytest.fixture
def namespace(kube: LocalCluster) -> str:
    kube.cluster.create_namespace(NAMESPACE)
    return NAMESPACE


@contextmanager
def calling(callers: list[Caller]) -> Iterator[Callable[[], None]]:
    """Let callers ask until the block ends; yields what waits until each has asked twice more."""
    over = threading.Event()

    def ask(caller: Caller) -> None:
        while not over.is_set():
            caller.ask()

    def go_on() -> None:
        before = [len(caller.answers) for caller in callers]
        eventually(
            lambda: all(
                len(one.answers) >= asked + 2 for one, asked in zip(callers, before, strict=True)
            )
        )

    threads = [threading.Thread(target=ask, args=(caller,)) for caller in callers]
    for thread in threads:
        thread.start()
    try:
        yield go_on
    finally:
        over.set()
        for thread in threads:
            thread.join()


def end(replica: ExitStack, serving: list[Api], go_on: Callable[[], None]) -> None:
    """End the replica that serves longest, once no request is sent to it any more."""
    go_on()
    del serving[0]
    go_on()
    replica.close()
    go_on()


def status_of(api: Api, token: str) -> int:
    headers = Signer([token]).sign(b"GET /models", int(time.time()))
    return plain_http.get(f"{api.url}/models", headers=headers).status_code


def test_08_a_token_is_replaced_under_load_and_nobody_is_refused(
    kube: LocalCluster, namespace: str, tmp_path: Path
) -> None:
    """Acceptance 8: first the service, as a Deployment does; then the callers; then it again."""
    serving: list[Api] = []
    callers = [Caller(f"caller-{number}", serving) for number in range(CALLERS)]

    def start(replica: ExitStack, tokens: str) -> None:
        given = {"NAMESPACE": namespace, "DEMUCSSVC_TOKEN": tokens}
        log = tmp_path / str(len(list(tmp_path.iterdir())))
        serving.append(replica.enter_context(started(kube, log, **given)))

    with ExitStack() as first, ExitStack() as second, ExitStack() as third:
        start(first, OLD)
        with calling(callers) as go_on:
            start(second, f"{NEW},{OLD}")
            end(first, serving, go_on)
            for caller in callers:
                caller.token = NEW
                go_on()
            start(third, NEW)
            end(second, serving, go_on)
        assert status_of(serving[0], OLD) == 401
    assert [one.broken for one in callers] == [[]] * CALLERS
    assert {status for one in callers for status in one.answers} == {200, 202}
    accepted = sum(one.answers.count(202) for one in callers)
    assert len(kube.objects.get("splitjobs", namespace=namespace)["items"]) == accepted
