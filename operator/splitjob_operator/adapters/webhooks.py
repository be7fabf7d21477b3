"""The way to receivers of webhooks, as this installation allows it."""

from splitjob_io.webhook_sender import WebhookSender
from splitjob_operator.core.settings import Settings

__all__ = ["webhook_sender"]


def webhook_sender(settings: Settings) -> WebhookSender:
    """Return what sends final events, signed, to where the installation allows."""
    return WebhookSender(settings.tokens, settings.allowlist(), settings.egress())
