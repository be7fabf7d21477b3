"""Whatever happens while an event is sent is reported: only what is reported comes to an end."""

import asyncio
import gc
import json
from typing import Any

import pytest
from tests.support.operator_samples import (
    NAME,
    NOW,
    UID,
    after,
    raw_splitjob,
    seen,
    settings,
    stamp,
)
from tests.support.waiting import patience

from splitjob.allowlist import Allowlist
from splitjob.webhook import DeliveryOutcome
from splitjob_io.webhook_sender import WebhookSender
from splitjob_operator.adapters.kubernetes import KubernetesAdapter
from splitjob_operator.core.observed import DeliveryReport, SplitJob
from splitjob_operator.core.plan import Deliver
from splitjob_operator.core.reconcile import reconcile
from splitjob_operator.core.status_json import dump_status
from splitjob_operator.runtime import webhook_delivery
from splitjob_operator.runtime.thread_pool import ThreadPool
from splitjob_operator.runtime.webhook_delivery import WebhookDelivery


class OneSplitJob(KubernetesAdapter):
    """A cluster of one SplitJob, whose failure is to be told."""

    def __init__(self, failure: str = "request_invalid", **request: Any) -> None:
        self.raw = raw_splitjob(
            status={
                "finishedAt": stamp(NOW),
                "conditions": [
                    {
                        "type": "Succeeded",
                        "status": "False",
                        "reason": "RequestInvalid",
                        "message": "It cannot be served.",
                        "lastTransitionTime": stamp(NOW),
                    }
                ],
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


class BrokenSender(WebhookSender):
    """A sender with a defect."""

    def __init__(self) -> None:
        pass

    def send(self, *_: Any, **__: Any) -> DeliveryOutcome:
        raise RuntimeError("at https://hooks.example.com/x?token=secret")


class KeepingSender(WebhookSender):
    """A sender whose receiver takes everything."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    def send(self, *sent: Any, **_: Any) -> DeliveryOutcome:
        self.bodies.append(sent[2])
        return DeliveryOutcome(delivered=True)


def report_of(cluster: OneSplitJob, sender: WebhookSender | None = None) -> DeliveryReport:
    """Return what came of one delivery."""
    allowlist = Allowlist.parse("https://hooks.example.com", local=False)

    async def deliver() -> DeliveryReport:
        reported = asyncio.Event()
        to = sender or WebhookSender(["token"], allowlist)
        delivery = WebhookDelivery(
            cluster,
            ThreadPool(1, "cluster"),
            ThreadPool(1, "deliver"),
            to,
            lambda _: reported.set(),
        )
        delivery.start(NAME)
        await asyncio.wait_for(reported.wait(), patience(10))
        report = delivery.report(NAME)
        await delivery.close()
        assert report
        return report

    return asyncio.run(deliver())


def hook_after(cluster: OneSplitJob, sender: WebhookSender | None = None) -> dict[str, Any]:
    """Return the outbox once the event was tried and `reconcile` has seen what came of it."""
    report = report_of(cluster, sender)
    plan = reconcile(seen(SplitJob.of(cluster.raw), delivery=report), settings(), NOW)
    assert plan.status
    found: dict[str, Any] = dump_status(plan.status)["webhook"]
    return found


@pytest.mark.parametrize(
    ("usage", "told"),
    [
        ({"usage": {"attempts": 3, "gpuSeconds": "61.5"}}, (3, 61.5)),
        ({}, (2, 5.0)),  # it ended before its usage was put on record
    ],
)
def test_the_event_tells_what_the_job_took(usage: dict[str, Any], told: tuple[int, float]) -> None:
    cluster = OneSplitJob()
    ran = {"startedAt": stamp(NOW), "finishedAt": stamp(after(5))}
    cluster.raw["status"] |= {
        "attempts": [
            {"number": 1, "jobName": f"{NAME}-1", **ran},
            {"number": 2, "jobName": f"{NAME}-2"},
        ],
        **usage,
    }
    sender = KeepingSender()
    report_of(cluster, sender)
    [body] = map(json.loads, sender.bodies)
    assert (body["attempts"], body["gpuSeconds"]) == told


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


async def others_end() -> None:
    """Wait for whatever was begun beside this."""
    await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}))


def test_nothing_is_sent_again_before_the_report_of_the_last_attempt_is_written() -> None:
    cluster, sent = OneSplitJob(), list[str]()

    class Receiver(BrokenSender):
        def send(self, url: str, event_id: str, *_: Any, **__: Any) -> DeliveryOutcome:
            sent.append(event_id)
            return DeliveryOutcome(delivered=False, status=500, error="500")

    async def deliver() -> None:
        delivery = WebhookDelivery(
            cluster, ThreadPool(1, "cluster"), ThreadPool(1, "deliver"), Receiver(), lambda _: None
        )
        delivery.start(NAME)
        await others_end()
        report = delivery.report(NAME)
        delivery.start(NAME)
        await others_end()
        assert delivery.report(NAME) is report
        delivery.forget(NAME, report)
        delivery.start(NAME)
        await others_end()
        await delivery.close()

    asyncio.run(deliver())
    assert sent == [f"{UID}.failed"] * 2


def test_a_report_that_comes_after_a_redelivery_was_asked_for_changes_nothing() -> None:
    cluster = OneSplitJob()
    report = report_of(cluster, BrokenSender())
    cluster.raw["status"]["webhook"]["redeliveries"] = 1
    plan = reconcile(seen(SplitJob.of(cluster.raw), delivery=report), settings(), NOW)
    assert plan.status
    assert plan.status.webhook
    assert plan.status.webhook.attempts == 0
    assert plan.after == (Deliver(),)


def test_what_has_waited_for_its_receiver_is_read_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another operator may have sent it by then; and nothing of it is held meanwhile."""
    monkeypatch.setattr(webhook_delivery, "AT_ONCE_TO_ONE_HOST", 1)
    cluster, sender = OneSplitJob(), KeepingSender()
    read: list[str] = []

    async def deliver() -> None:
        was_read, loop = asyncio.Event(), asyncio.get_running_loop()

        def splitjob(name: str) -> dict[str, Any]:
            read.append(name)
            loop.call_soon_threadsafe(was_read.set)
            return cluster.raw

        monkeypatch.setattr(cluster, "splitjob", splitjob)
        threads, senders = ThreadPool(1, "cluster"), ThreadPool(1, "deliver")
        delivery = WebhookDelivery(cluster, threads, senders, sender, lambda _: None)
        async with asyncio.timeout(patience(10)), delivery._receiver("https://hooks.example.com"):
            delivery.start(NAME)
            (under_way,) = delivery._under_way.values()
            await was_read.wait()
            await asyncio.sleep(0.05)
            cluster.raw["status"]["webhook"] |= {"state": "Delivered"}
            del cluster.raw["status"]["webhook"]["nextAttemptAt"]
        await asyncio.wait_for(under_way, patience(10))
        await delivery.close()

    asyncio.run(deliver())
    assert read == [NAME, NAME]
    assert sender.bodies == []


def test_however_a_receiver_is_spelled_it_has_eight_places_and_none_once_it_is_left() -> None:
    cluster, threads = OneSplitJob(), ThreadPool(1, "cluster")
    delivery = WebhookDelivery(cluster, threads, threads, KeepingSender(), lambda _: None)
    one = delivery._receiver("https://hooks.example.com/a")
    for other in ("HOOKS.example.com", "hooks.example.com.", "hooks.example.com:443"):
        assert delivery._receiver(f"https://{other}/b?c") is one
    assert delivery._receiver("https://other.example.com/") is not one
    nowhere = delivery._receiver(None)
    assert delivery._receiver("no URL") is nowhere
    del one, nowhere
    gc.collect()
    assert len(delivery._receivers) == 0


def test_the_failure_of_a_newer_version_is_told_too() -> None:
    sender = KeepingSender()
    assert report_of(OneSplitJob("worker_throttled"), sender).outcome.delivered
    assert json.loads(sender.bodies[0])["errorCode"] == "internal_error"
