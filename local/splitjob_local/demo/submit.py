"""Submitting the separation, and checking that requests that must be refused are."""

import json
import time
from collections.abc import Mapping, Sequence

import httpx

from splitjob_client import AnswerError, Client, Credentials, SigningToken, SplitFields, Submitted
from splitjob_local.demo.narrator import Narrator

TOO_OLD_SECONDS = 301  # a signature is valid for 300 s


class Unsigned:
    """Credentials of somebody who has none."""

    def headers(self, _method: str, _target: bytes, _body: bytes) -> Mapping[str, str]:
        """Return nothing."""
        return {}


class SignedWithSpaces:
    """Credentials of somebody who signs a request and writes its JSON anew.

    Args:
        token: the shared secret.
    """

    def __init__(self, token: str) -> None:
        self._token = SigningToken(token)

    def headers(self, method: str, target: bytes, body: bytes) -> Mapping[str, str]:
        """Return the signature of the same JSON with spaces between its words."""
        return self._token.headers(method, target, json.dumps(json.loads(body)).encode())


def submit(
    narrator: Narrator, urls: Sequence[str], token: str, request: SplitFields, http: httpx.Client
) -> str | None:
    """Ask for a separation, after four requests that must be refused; then ask for it once more.

    Args:
        narrator: records the checks.
        urls: of the API's replicas.
        token: the shared secret.
        request: what is asked for; its webhook's path begins with /webhooks.
        http: sends the requests.

    Returns:
        The job's id; None where the request was not accepted.
    """
    _check_refusals(narrator, urls, token, request, http)
    try:
        submitted = Client(urls[0], token, http=http).submit(**request)
    except AnswerError as refused:
        narrator.check(False, f"signed: 202, accepted; it was refused: {refused}")
        return None
    narrator.show(f"POST {urls[0]}/split\n{_answer(submitted)}")
    if not narrator.check(submitted.created, "signed: 202, accepted"):
        return None
    again = Client(urls[-1], token, http=http).submit(**request)
    narrator.check(
        not again.created and again.job_id == submitted.job_id,
        "sent once more, to the API's other replica: 200 and the same job",
    )
    narrator.say("What was asked is now a SplitJob, a resource like a Deployment or a Pod.")
    return submitted.job_id


def _check_refusals(
    narrator: Narrator, urls: Sequence[str], token: str, request: SplitFields, http: httpx.Client
) -> None:
    """Check that the service takes neither a request of a stranger nor a wrong one of a caller."""

    def refused(status: int, credentials: Credentials | str, what: str, asked: SplitFields) -> None:
        got = _refusal(Client(urls[0], credentials, http=http), asked)
        narrator.check(got == status, f"{what}: {status}")

    late = SigningToken(token, lambda: time.time() - TOO_OLD_SECONDS)
    elsewhere = request["webhook"].replace("/webhooks", "/elsewhere")
    refused(401, Unsigned(), "without a signature", request)
    refused(401, SignedWithSpaces(token), "the same JSON with other spaces, old signature", request)
    refused(401, late, f"signed {TOO_OLD_SECONDS} s ago, as a replay would be", request)
    wrong: SplitFields = {**request, "webhook": elsewhere}
    refused(422, token, "a webhook address that is not on the allowlist", wrong)


def _refusal(client: Client, request: SplitFields) -> int | None:
    """Return the status with which a request is refused, None where it is taken."""
    try:
        client.submit(**request)
    except AnswerError as refused:
        return refused.status
    return None


def _answer(submitted: Submitted) -> str:
    fields = submitted.model_dump_json(by_alias=True, exclude_unset=True, exclude={"created"})
    return f"{202 if submitted.created else 200} {fields}"
