"""Whatever happens while an event is sent is recorded: only what is recorded comes to an end."""

import asyncio
from typing import Any

import pytest
from tests.support.operator_samples import NAME, NOW, UID, raw_splitjob, stamp

from splitjob.allowlist import Allowlist
from splitjob_io.webhook_sender import DeliveryOutcome, WebhookSender
from splitjob_operator.adapters.kubernetes import Cluster
from splitjob_operator.runtime.threads import Threads
from splitjob_operator.runtime.webhook_delivery import WebhookDelivery


class OneSplitJob(Cluster):
    """A cluster of one SplitJob, whose failure is to be told."""

    def __init__(self, failure: str = "request_invalid", **request: Any) -> None:
        self.raw = raw_splitjob(
            status={
                "finishedAt": stamp(NOW),
                "failure": {"code": failure, "message": "It cannot be served."},
                "webhook": {
                    "eventId": f"{UID}.failed",
                    "event": "failed",
                    "state": "Pending",
                    "nextAttemptAt": stamp(NOW.replace(year=2020)),
                },
            },
            **request,
        )

    def splitjob(self, name: str) -> dict[str, Any]:
        assert name == NAME
        return self.raw

    def write_status(self, seen: Any, status: dict[str, Any]) -> dict[str, Any]:
        self.raw = {**seen, "status": status}
        return self.raw


class BrokenSender(WebhookSender):
    """A sender with a defect."""

    def __init__(self) -> None:
        pass

    def send(self, *_: Any, **__: Any) -> DeliveryOutcome:
        raise RuntimeError("at https://hooks.example.com/x?token=secret")


def hook_after(cluster: OneSplitJob, sender: WebhookSender | None = None) -> dict[str, Any]:
    """Return the outbox once the event was tried."""
    allowlist = Allowlist.parse("https://hooks.example.com", local=False)

    async def deliver() -> None:
        written = asyncio.Event()
        to = sender or WebhookSender(["token"], allowlist)
        deliverer = WebhookDelivery(cluster, Threads(1, "cluster"), to, 1, lambda _: written.set())
        deliverer.start(NAME)
        await asyncio.wait_for(written.wait(), 10)
        await deliverer.close()

    asyncio.run(deliver())
    found: dict[str, Any] = cluster.raw["status"]["webhook"]
    return found


@pytest.mark.parametrize("url", ["https://[oops/hook", "https://hooks.example.com]/", "http://:x/"])
def test_what_is_no_url_is_blocked(url: str) -> None:
    hook = hook_after(OneSplitJob(webhook={"url": url}))
    assert (hook["state"], hook["attempts"]) == ("Blocked", 1)
    assert "cannot be used" in hook["lastError"]


def test_a_defect_counts_as_an_attempt_and_is_not_quoted() -> None:
    hook = hook_after(OneSplitJob(), BrokenSender())
    assert (hook["state"], hook["attempts"]) == ("Pending", 1)
    assert hook["lastError"] == "not sent, by a defect of ours: RuntimeError"


def test_an_event_that_cannot_be_written_counts_as_an_attempt() -> None:
    hook = hook_after(OneSplitJob(failure="of_another_version"))
    assert (hook["state"], hook["attempts"]) == ("Pending", 1)


def test_a_request_that_is_not_understood_any_more_is_given_up() -> None:
    hook = hook_after(OneSplitJob(webhook={"url": "gopher://hooks.example.com"}))
    assert hook["state"] == "GivenUp"
    assert hook["lastError"].endswith("request.webhook.url")
