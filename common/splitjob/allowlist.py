"""The webhook allowlist: where, and only where, events may be sent."""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Self

from splitjob.urls import UrlError, WebUrl, parse

DEFAULT_ALLOWLIST = "https://api.track-tree.com/webhooks/demucs"


class NotAllowedError(Exception):
    """A URL is not one that webhooks may go to.

    Attributes:
        reason: a sentence without any part of the URL's query.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Allowlist:
    """The URLs of API_WEBHOOK_URL_ALLOWLIST.

    Attributes:
        entries: what is allowed: a URL whose scheme, host and port are those of an entry, and whose
            path is the entry's or lies below it.
        local: whether http to this machine itself may be used (ENVIRONMENT=local).
    """

    entries: Sequence[WebUrl]
    local: bool = False

    @classmethod
    def parse(cls, text: str, *, local: bool) -> Self:
        """Return the allowlist in a setting: URLs separated by commas.

        Raises:
            ValueError: an entry is no URL, has a query, or is http where only https may be.
        """
        allowlist = cls([_entry(part.strip()) for part in text.split(",") if part.strip()], local)
        for entry in allowlist.entries:
            try:
                allowlist._refuse_http(entry)
            except NotAllowedError as refused:
                where = f"API_WEBHOOK_URL_ALLOWLIST: {entry.scheme}://{entry.host}{entry.path}"
                raise ValueError(f"{where}: {refused.reason}") from None
        return allowlist

    def admit(self, url: str) -> WebUrl:
        """Return a webhook URL that is allowed.

        Raises:
            NotAllowedError: it is not on the list, or not a URL webhooks may go to at all.
        """
        try:
            wanted = parse(url)
        except UrlError as refused:
            raise NotAllowedError(f"this webhook URL cannot be used: {refused}") from None
        self.check(wanted)
        return wanted

    def check(self, url: WebUrl) -> None:
        """Check a webhook URL.

        Raises:
            NotAllowedError: it is not on the list, or http where only https may be.
        """
        self._refuse_http(url)
        if not any(_covers(entry, url) for entry in self.entries):
            raise NotAllowedError(
                f"webhooks to {url.scheme}://{url.host}:{url.port} at this path are not "
                "allowed here: the operator of this service lists what is in "
                "API_WEBHOOK_URL_ALLOWLIST"
            )

    def _refuse_http(self, url: WebUrl) -> None:
        if url.scheme == "http" and not (self.local and _is_loopback(url.host)):
            raise NotAllowedError(
                "webhooks go to https URLs (http only to this machine, with ENVIRONMENT=local)"
            )


def _entry(text: str) -> WebUrl:
    try:
        entry = parse(text)
    except UrlError as refused:
        raise ValueError(f"API_WEBHOOK_URL_ALLOWLIST: an entry is refused: {refused}") from None
    if entry.has_query:
        raise ValueError("API_WEBHOOK_URL_ALLOWLIST: an entry must not have a query (?)")
    return entry


def _covers(entry: WebUrl, url: WebUrl) -> bool:
    below = entry.path.rstrip("/") + "/"
    return entry.origin == url.origin and (url.path == entry.path or url.path.startswith(below))


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
