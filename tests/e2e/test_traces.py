"""One trace of three programs, from the request to the webhook, at a collector of spans."""

import json
import secrets
import time

import httpx
from tests.support.otlp import Collected, Collector
from tests.support.waiting import eventually
from tests.support.whole_path import WholePath

from splitjob.resource import ANNOTATION_TRACEPARENT
from splitjob.signing import Signer
from splitjob.tracing import TraceContext

STAGES = {"load", "fetch", "decode", "separate", "encode", "upload", "notify"}


def asked(path: WholePath, audio_url: str, traceparent: str) -> str:
    """Ask for a separation as a caller who traces; return the job's id."""
    tag = secrets.token_hex(4)
    wanted = {"versionId": f"trace-{tag}", "aiModel": "demo", "audioUrl": audio_url}
    body = json.dumps({**wanted, "webhook": path.service.webhook_base + tag}).encode()
    proof = Signer([path.service.token]).sign(body, int(time.time()))
    headers = {**proof, "traceparent": traceparent}
    url = f"{path.service.api_urls()[0]}/split"
    return str(httpx.post(url, content=body, headers=headers).raise_for_status().json()["jobId"])


def told(collector: Collector, caller: TraceContext, last: set[str]) -> list[Collected]:
    """Return the spans of a trace once the last ones of each program have come."""

    def all_there() -> list[Collected]:
        found = collector.of(caller.trace_id)
        return found if last <= {one.name for one in found} else []

    return eventually(all_there)


def edges(spans: list[Collected], caller: TraceContext) -> set[tuple[str, str, str]]:
    """Return program and name of each span, and the name of the one above it."""
    names = {one.span_id: one.name for one in spans} | {caller.span_id: "caller"}
    return {(one.program, one.name, names[one.parent]) for one in spans}


def traceparents(path: WholePath, name: str) -> list[str]:
    """Return what the webhooks about a job carry."""
    mine = [one for one in path.deliveries if json.loads(one.body)["jobId"] == name]
    return [one.headers["traceparent"] for one in mine]


def test_one_trace_leads_through_all_programs_to_the_webhook(
    path: WholePath, collector: Collector
) -> None:
    caller = TraceContext.new("")
    name = asked(path, path.song_url(), caller.traceparent)
    path.wait(name)
    spans = told(collector, caller, {"POST /split", "splitjob", "worker"})
    assert edges(spans, caller) == {
        ("api", "POST /split", "caller"),
        ("operator", "splitjob", "POST /split"),
        ("operator", "wait", "splitjob"),
        ("operator", "attempt", "splitjob"),
        ("operator", "start", "attempt"),
        ("worker", "worker", "attempt"),
        ("worker", "webhook", "worker"),
        *(("worker", stage, "worker") for stage in STAGES),
    }
    assert len({one.span_id for one in spans}) == len(spans)
    assert not [one for one in spans if one.failed]
    assert {one.attributes["splitjob.name"] for one in spans} == {name}
    webhook = next(one for one in spans if one.name == "webhook")
    assert traceparents(path, name) == [f"00-{caller.trace_id}-{webhook.span_id}-01"]


def test_a_failure_is_told_by_its_code_and_nothing_of_the_callers(
    path: WholePath, collector: Collector
) -> None:
    caller = TraceContext.new("")
    missing = f"{path.web.url}/not-there-{secrets.token_hex(4)}.wav?X-Amz-Signature=a-secret"
    name = asked(path, missing, caller.traceparent)
    path.wait(name)
    spans = told(collector, caller, {"POST /split", "splitjob", "worker", "webhook"})
    failed = {one.name: one.attributes["error.type"] for one in spans if one.failed}
    assert failed == dict.fromkeys(("fetch", "worker", "attempt", "splitjob"), "source_not_found")
    webhook = next(one for one in spans if one.name == "webhook")
    assert (webhook.program, webhook.attributes["splitjob.event"]) == ("operator", "failed")
    assert traceparents(path, name) == [f"00-{caller.trace_id}-{webhook.span_id}-01"]
    everything = b"".join(collector.raw)
    for word in (b"not-there", b"a-secret", path.service.webhook_base.encode(), b"trace-"):
        assert word not in everything


def test_what_its_caller_does_not_keep_is_told_to_nobody(
    path: WholePath, collector: Collector
) -> None:
    caller = TraceContext.new("", sampled=False)
    name = asked(path, path.song_url(), caller.traceparent)
    path.wait(name)
    annotation = path.job(name)["metadata"]["annotations"][ANNOTATION_TRACEPARENT]
    assert annotation.startswith(f"00-{caller.trace_id}-")
    assert {one[:35] + one[-3:] for one in traceparents(path, name)} == {f"00-{caller.trace_id}-00"}
    assert collector.of(caller.trace_id) == []
