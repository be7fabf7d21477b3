"""The page of what callers can rely on against the code: fields, calls, webhooks, storage."""

import inspect
import re
from pathlib import Path

from fastapi.routing import APIRoute

from splitjob.request import SplitRequest
from splitjob.spec import Request, Source, Webhook
from splitjob.status import Audio, Result, Stem, Usage
from splitjob.webhook import final_event
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
from splitjob_io.storage import S3Service

ROOT = Path(__file__).parents[2]
PROMISED = (ROOT / "docs" / "contract.md").read_text().partition("## Not there yet")[0]
CODE = re.compile(r"`([^`]+)`")
NEEDED = {"versionId", "audioUrl", "aiModel", "webhook", "correlationId"}
BEYOND_ROUTERS = {"/docs", "/console", "/openapi.json"}


def section(title: str) -> str:
    return PROMISED.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def table(text: str) -> list[list[str]]:
    """Return the cells of the first table in a text, without its head."""
    rows = re.findall(
        r"^\| (.*) \|$", text.partition("\n|---")[2].partition("\n\n")[0], re.MULTILINE
    )
    return [row.split(" | ") for row in rows]


def in_code(cells: list[str]) -> set[str]:
    return {code for cell in cells for code in CODE.findall(cell)}


def test_every_field_of_a_request_is_described_and_no_other() -> None:
    text = section("2. POST /split")
    assert set(CODE.findall(text.partition("\n| ")[0])) == NEEDED
    described = in_code([row[0] for row in table(text)]) | NEEDED
    assert described == {field.alias for field in SplitRequest.model_fields.values()}


def test_every_call_is_described_and_no_other() -> None:
    described = {
        code.rpartition(" ")[2]
        for row in table(section("3. The other calls"))
        for code in CODE.findall(row[0])
    }
    modules = (
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
    served = {
        route.path.replace("{job_id}", "{id}")
        for module in modules
        for route in module.router.routes
        if isinstance(route, APIRoute)
    }
    assert described | {"/split"} == served | BEYOND_ROUTERS


def audio_of_a_damaged_song() -> Audio:
    return Audio(frames=1, sample_rate=1, channels=1, damaged_seconds="1", missing_seconds="1")


def test_every_field_of_the_final_event_is_described_and_no_other() -> None:
    request = Request(
        version_id="v",
        model="demo",
        source=Source(url="https://a/b"),
        webhook=Webhook(url="https://a/hook"),
    )
    stem = Stem(
        type="drums",
        size=1,
        frames=1,
        sample_rate=1,
        checksum="sha256:" + "0" * 64,
        format="wav",
        peak="0",
        gain="1",
    )
    result = Result(stems=[stem], model="demo", audio=audio_of_a_damaged_song())
    event = final_event(
        job_id="job",
        request=request,
        event="completed",
        result=result,
        failure_code=None,
        failure_message=None,
        processing_time_ms=1,
        usage=Usage(),
    )
    rows = table(section("4. Webhooks"))
    assert in_code([row[0] for row in rows]) == {*event, "stems[]"} - {"stems"}
    [stems] = [row[1] for row in rows if row[0] == "`stems[]`"]
    assert set(event["stems"][0]) == in_code([stems]) - {"s3://bucket/key"}
    [audio] = [row[1] for row in rows if row[0] == "`audio`"]
    assert set(event["audio"]) == in_code([audio])


def test_the_methods_of_the_storage_take_the_arguments_that_are_promised() -> None:
    methods = re.findall(r"`(\w+)\(([\w, ]*)\)`", section("6. Storage"))
    assert len(methods) == 15
    for name, arguments in methods:
        signature = inspect.signature(getattr(S3Service, name))
        wanted = arguments.split(", ") if arguments else []
        assert list(signature.parameters)[1 : len(wanted) + 1] == wanted
