"""Delivering a webhook: one signed POST, and what came of it."""

import math
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from splitjob.allowlist import Allowlist, NotAllowedError
from splitjob.egress import DIRECT, Egress
from splitjob.signing import Signer
from splitjob.tracing import TRACEPARENT
from splitjob.webhook import DeliveryOutcome
from splitjob_io.certificates import certificate_problem
from splitjob_io.deadline import Deadline
from splitjob_io.safe_http import ForbiddenTargetError, client

TIMEOUT_SECONDS = 15.0
MAX_RETRY_AFTER_SECONDS = 24 * 3600
_MAX_ANSWER_BYTES = 16 * 1024


class WebhookSender:
    """Sends webhooks. One instance serves any number of threads.

    Args:
        tokens: the signing tokens; the first one signs.
        allowlist: where webhooks may go, checked at each attempt.
        egress: which addresses besides public ones, checked at each attempt, and by which proxies.
    """

    def __init__(
        self, tokens: Sequence[str], allowlist: Allowlist, egress: Egress = DIRECT
    ) -> None:
        self._signer = Signer(tokens)
        self._allowlist = allowlist
        self._egress = egress

    def send(
        self,
        url: str,
        event_id: str,
        body: bytes,
        timeout: float = TIMEOUT_SECONDS,
        *,
        traceparent: str = "",
    ) -> DeliveryOutcome:
        """POST an event once.

        Args:
            url: the receiver, its query included.
            event_id: `webhook-id`: the same in every attempt of one event.
            body: the raw body (`splitjob.webhook.encode`).
            timeout: seconds for the whole attempt, also when the answer trickles in.
            traceparent: where in a trace the event belongs; blank: in none.
        """
        try:
            self._allowlist.admit(url)
            response = self._post(url, event_id, body, timeout, traceparent)
        except NotAllowedError as refused:
            return DeliveryOutcome(delivered=False, blocked=True, error=refused.reason)
        except ForbiddenTargetError as refused:
            return DeliveryOutcome(delivered=False, blocked=True, error=f"not sent: {refused}")
        except httpx.TimeoutException:
            return DeliveryOutcome(
                delivered=False, error=f"the receiver did not answer within {timeout:g} s"
            )
        except httpx.TransportError as failed:
            return DeliveryOutcome(delivered=False, error=_transport_error(failed))
        return _outcome(response)

    def _post(
        self, url: str, event_id: str, body: bytes, timeout: float, traceparent: str
    ) -> httpx.Response:
        headers = self._signer.webhook_headers(event_id, body, int(time.time()))
        headers["Content-Type"] = "application/json"
        headers["Accept-Encoding"] = "identity"
        if traceparent:
            headers[TRACEPARENT] = traceparent
        with (
            client(self._egress, timeout=timeout, deadline=Deadline(timeout)) as http,
            http.stream("POST", url, content=body, headers=headers) as response,
        ):
            _hear_out(response)
            return response


def _hear_out(response: httpx.Response) -> None:
    """Read a little of the answer's body, so that the receiver sees no broken connection.

    The status has decided already: neither an endless body nor a torn one changes anything.
    """
    read = 0
    try:
        for piece in response.iter_raw():
            read += len(piece)
            if read > _MAX_ANSWER_BYTES:
                return
    except httpx.TransportError:
        return


def _outcome(response: httpx.Response) -> DeliveryOutcome:
    status = response.status_code
    if response.is_success:
        return DeliveryOutcome(delivered=True, status=status)
    error = f"the receiver answered {status}"
    if response.has_redirect_location:
        error += "; redirects are not followed"
    if status == httpx.codes.GONE:
        error += ": it wants no more events"
    return DeliveryOutcome(
        delivered=False,
        status=status,
        gone=status == httpx.codes.GONE,
        retry_after_seconds=parse_retry_after(
            response.headers.get("Retry-After"), datetime.now(UTC)
        ),
        error=error,
    )


def parse_retry_after(value: str | None, now: datetime) -> int | None:
    """Return the seconds a Retry-After header asks for, at most 24 h.

    Args:
        value: the header: seconds, or an HTTP date (RFC 9110, section 10.2.3).
        now: with a time zone.

    Returns:
        Seconds, not negative; None where there is no header, or no sense in it.
    """
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        seconds = float(text[:9])
    else:
        try:
            moment = parsedate_to_datetime(text)
        except (ValueError, OverflowError):
            return None
        seconds = (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds()
    return min(max(math.ceil(seconds), 0), MAX_RETRY_AFTER_SECONDS)


def _transport_error(failed: httpx.TransportError) -> str:
    """Say what went wrong below HTTP, with nothing of the URL but its host.

    An error of the protocol quotes what the receiver sent, which may be what it was sent.
    """
    if isinstance(failed, httpx.ProxyError):
        return f"the receiver could not be reached: {failed}"
    if isinstance(failed, httpx.ProtocolError):
        return "the receiver broke off, or its answer is not valid HTTP"
    trouble = certificate_problem(failed, failed.request.url.host)
    cause = trouble or str(failed).strip() or type(failed).__name__
    words = "could not be reached" if isinstance(failed, httpx.ConnectError) else "broke off"
    return f"the receiver {words}: {cause}"[:400]
