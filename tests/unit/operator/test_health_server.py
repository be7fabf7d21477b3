"""What kubelet and Prometheus are told over HTTP."""

import asyncio
from dataclasses import dataclass, field
from typing import cast

import httpx
from tests.support.ports import free_port

from splitjob_kube.preconditions import Unready, UnreadyReason
from splitjob_operator.runtime import health_server
from splitjob_operator.runtime.leadership import Leadership
from splitjob_operator.runtime.readiness import Readiness
from splitjob_operator.runtime.resync import Resync

NO_CRD = Unready(UnreadyReason.CRD_MISSING, "there is no CustomResourceDefinition")


@dataclass
class OneResync:
    """The state of a resync, as a test wants it."""

    alive: bool = True
    age: float = 1.234
    readiness: Readiness = field(default_factory=Readiness)


def answers(resync: OneResync, *paths: str, leads: bool = True) -> list[httpx.Response]:
    """Return what the server answers on some paths."""
    leadership = Leadership()
    if leads:
        leadership.extend(float("inf"))

    async def ask() -> list[httpx.Response]:
        port = free_port()
        runner = await health_server.serve(cast("Resync", resync), leadership, "127.0.0.1", port)
        try:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
                return [await client.get(path) for path in paths]
        finally:
            await runner.cleanup()

    return asyncio.run(ask())


def test_ready_and_alive() -> None:
    resync = OneResync()
    resync.readiness.report(())
    for answer in answers(resync, "/healthz", "/readyz"):
        assert answer.status_code == 200
        assert answer.json() == {
            "ok": True,
            "leads": True,
            "lastResyncSeconds": 1.2,
            "unready": [],
        }


def test_one_that_stands_by_is_ready_and_alive_as_well() -> None:
    """A rolling upgrade waits until the new one is ready, before the old one lets it lead."""
    resync = OneResync()
    resync.readiness.report(())
    for answer in answers(resync, "/healthz", "/readyz", leads=False):
        assert answer.status_code == 200
        assert answer.json()["leads"] is False


def test_what_is_in_the_way_makes_it_unready_and_is_no_reason_to_restart_it() -> None:
    resync = OneResync()
    resync.readiness.report((NO_CRD,))
    health, ready = answers(resync, "/healthz", "/readyz")
    assert (health.status_code, ready.status_code) == (200, 503)
    assert ready.json()["ok"] is False
    told = [{"reason": "CrdMissing", "message": NO_CRD.message}]
    assert health.json()["unready"] == ready.json()["unready"] == told


def test_a_resync_that_hangs_is_neither_alive_nor_ready() -> None:
    resync = OneResync(alive=False, age=600)
    resync.readiness.report(())
    health, ready = answers(resync, "/healthz", "/readyz")
    assert (health.status_code, ready.status_code) == (503, 503)
    assert health.json()["lastResyncSeconds"] == 600


def test_metrics_are_in_the_text_format_of_prometheus() -> None:
    metrics, nothing = answers(OneResync(), "/metrics", "/elsewhere")
    assert metrics.status_code == 200
    assert metrics.headers["content-type"].startswith("text/plain; version=")
    assert "# TYPE splitjob_unready gauge" in metrics.text
    assert nothing.status_code == 404
