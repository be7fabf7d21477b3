"""The requests that the demo submits: a service that takes what it must refuse is found out."""

import io
import time
from functools import partial

import httpx
import pytest

from splitjob.signing import SignatureError, Signer
from splitjob_client import SplitFields
from splitjob_local.demo.narrator import Narrator
from splitjob_local.demo.submit import submit

URLS = ("http://first", "http://last")
REQUEST: SplitFields = {
    "version_id": "v",
    "audio_url": "http://x/song.wav",
    "ai_model": "demo",
    "webhook": "http://x/webhooks/1",
}


def answer(request: httpx.Request, *, forgetful: bool = False) -> httpx.Response:
    """Answer as the API would; or as one that has no window for timestamps."""
    stamp = request.headers.get("X-Timestamp")
    now = float(stamp or 0) if forgetful else time.time()
    try:
        Signer(["t"]).verify(request.content, stamp, request.headers.get("X-Signature"), now)
    except SignatureError:
        return httpx.Response(401)
    if b"/elsewhere" in request.content:
        return httpx.Response(422)
    known = request.url.host == "last"
    return httpx.Response(200 if known else 202, json={"jobId": "j"})


def ask(answering: httpx.MockTransport) -> tuple[str | None, list[str], str]:
    """Return the job's id, which checks failed, and what was shown."""
    shown = io.StringIO()
    narrator = Narrator(1, shown)
    with httpx.Client(transport=answering) as http:
        name = submit(narrator, URLS, "t", REQUEST, http)
    return name, [check.what for check in narrator.failed], shown.getvalue()


@pytest.mark.parametrize("forgetful", [False, True])
def test_a_service_that_takes_old_signatures_is_found_out(*, forgetful: bool) -> None:
    name, failed, shown = ask(httpx.MockTransport(partial(answer, forgetful=forgetful)))
    assert name == "j"
    assert failed == (["signed 301 s ago, as a replay would be: 401"] if forgetful else [])
    assert 'POST http://first/split\n      202 {"jobId":"j"}' in shown


def test_a_service_that_lets_in_everybody_is_found_out() -> None:
    open_to_all = httpx.MockTransport(lambda _: httpx.Response(202, json={"jobId": "j"}))
    _, failed, _ = ask(open_to_all)
    assert len(failed) == 5, "four that must be refused, and the repeat that makes a second job"


def test_a_request_that_is_refused_gives_no_job() -> None:
    problem = {"code": "queue_full", "detail": "the queue is full"}
    name, failed, _ = ask(httpx.MockTransport(lambda _: httpx.Response(409, json=problem)))
    assert name is None
    assert failed[-1].startswith("signed: 202, accepted; it was refused: the queue is full")
