"""The requests that the demo submits: a service that takes old signatures does not pass."""

import io
import time
from functools import partial

import httpx
import pytest

from splitjob.signing import SignatureError, Signer
from splitjob_local.demo.client import SignedClient
from splitjob_local.demo.narrator import Narrator
from splitjob_local.demo.submit import submit


def answer(request: httpx.Request, *, forgetful: bool) -> httpx.Response:
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


@pytest.mark.parametrize("forgetful", [False, True])
def test_a_service_that_takes_old_signatures_is_found_out(*, forgetful: bool) -> None:
    narrator = Narrator(1, io.StringIO())
    first, last = (SignedClient(f"http://{name}", "t") for name in ("first", "last"))
    for client in (first, last):
        transport = httpx.MockTransport(partial(answer, forgetful=forgetful))
        client._http = httpx.Client(base_url=client.base_url, transport=transport)
    assert submit(narrator, first, last, b'{"webhook": "http://x/webhooks/1"}') == "j"
    failed = [check.what for check in narrator.failed]
    assert failed == (["signed 301 s ago, as a replay would be: 401"] if forgetful else [])
