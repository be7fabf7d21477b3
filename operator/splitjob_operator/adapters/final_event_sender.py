"""Sends final events to the receivers that this installation allows."""

from collections.abc import Callable

from splitjob.webhook import DeliveryOutcome
from splitjob_io.webhook_sender import WebhookSender
from splitjob_operator.core.settings import Settings

__all__ = ["FinalEventSender"]


class FinalEventSender:
    """Sends final events, signed, to where the installation allows.

    Args:
        settings: the installation's.
        fence: called before each attempt; raises where this process may send nothing.
    """

    def __init__(self, settings: Settings, fence: Callable[[], None]) -> None:
        self._sender = WebhookSender(settings.tokens, settings.allowlist(), settings.egress())
        self._fence = fence

    def send(
        self, url: str, event_id: str, body: bytes, *, traceparent: str = ""
    ) -> DeliveryOutcome:
        """POST an event once; see `splitjob_operator.core.ports.WebhookSenderPort`."""
        self._fence()
        return self._sender.send(url, event_id, body, traceparent=traceparent)
