"""Reading URLs that callers wrote: strictly, and with the parser that will also dial them.

A URL that two parsers could read in two ways is refused, not repaired. What is taken becomes a
`WebUrl`, once, and is handed on as that: in a pydantic model it is a field's type.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated
from urllib.parse import unquote

import httpx
from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from splitjob.addresses import parse_host

DEFAULT_PORTS = {"http": 80, "https": 443}
MAX_URL_LENGTH = 8192
MAX_PLAIN_URL_LENGTH = 2048  # what the resource takes, percent-encoded, without the query
# Each further layer costs a pass over the whole path, and thousands fit into one.
MAX_LAYERS = 5

STORED = "s3"  # the scheme of what lies in the installation's own bucket

_STORED_URL = re.compile(r's3://([!"$-.0->@-~]+)(/[!"$->@-~]+)')
_HOST_NAME = re.compile(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*", re.ASCII)
_AUTHORITY = re.compile(r"[a-z]+://([^/?#]+)", re.IGNORECASE)


class UrlError(ValueError):
    """A URL cannot be used; the message says why, and holds no part of its query."""


@dataclass(frozen=True)
class WebUrl:
    """An http or https URL, normalised; of a source also the address of an object in the bucket.

    Attributes:
        scheme: `http` or `https`; `s3` in the bucket.
        host: lower case, IDNA-encoded, no dot at its end; an address in its canonical notation.
        port: always given; 0 in the bucket.
        path: as sent, at least `/`; percent-encoding untouched.
        whole: as it was given, with its query: a bearer secret, perhaps.
    """

    scheme: str
    host: str
    port: int
    path: str
    whole: str = field(repr=False)

    @property
    def has_query(self) -> bool:
        """Whether a query follows the path."""
        return "?" in self.whole

    @property
    def origin(self) -> tuple[str, str, int]:
        """Scheme, host and port."""
        return self.scheme, self.host, self.port

    @classmethod
    def __get_pydantic_core_schema__(
        cls, _source: object, _handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Let a model take a URL as a string, where the resource can hold it."""
        text = core_schema.str_schema(min_length=1, max_length=MAX_URL_LENGTH, strict=True)
        return core_schema.no_info_after_validator_function(cls._from_body, text)

    @classmethod
    def _from_body(cls, text: str) -> "WebUrl":
        return _usable(text, parse)


class _OfSource:
    """Lets a field of a model take what `parse_source` does."""

    @classmethod
    def __get_pydantic_core_schema__(
        cls, _source: object, _handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        text = core_schema.str_schema(min_length=1, max_length=MAX_URL_LENGTH, strict=True)
        return core_schema.no_info_after_validator_function(
            lambda found: _usable(found, parse_source), text
        )


SourceUrl = Annotated[WebUrl, _OfSource]


def _usable(text: str, read: Callable[[str], WebUrl]) -> WebUrl:
    try:
        url = read(text)
        plain_url(url)
    except UrlError as refused:
        raise ValueError(f"this URL cannot be used: {refused}") from None
    return url


def parse_source(url: str) -> WebUrl:
    """Return the URL of a source: http(s), or `s3://bucket/key`.

    Which objects may be named is `splitjob.request_policy`'s.

    Raises:
        UrlError: as `parse`.
    """
    if not url.startswith(f"{STORED}://"):
        return parse(url)
    found = _STORED_URL.fullmatch(url)
    if found is None:
        raise UrlError("it is not of the form s3://bucket/key, without query and fragment")
    _refuse_climbing(url)
    return WebUrl(scheme=STORED, host=found[1], port=0, path=found[2], whole=url)


def parse(url: str) -> WebUrl:
    """Return an http(s) URL in its normal form.

    Raises:
        UrlError: it is no such URL, names a user, has a fragment, climbs with `..` (in any
            encoding), or holds characters that parsers disagree about.
    """
    _refuse_ambiguity(url)
    before_query = url.partition("?")[0]  # what is read, for a signed query is ten times as long
    try:
        url.encode()
        parsed = httpx.URL(before_query)
    except (httpx.InvalidURL, UnicodeError):
        raise UrlError("it is not a valid URL") from None
    if parsed.scheme not in DEFAULT_PORTS:
        raise UrlError("only http:// and https:// URLs are taken")
    if parsed.port is not None and not 0 < parsed.port < 65536:
        raise UrlError("its port is not between 1 and 65535")
    _refuse_climbing(before_query)
    return WebUrl(
        scheme=parsed.scheme,
        host=_host(parsed.raw_host.decode("ascii")),
        port=parsed.port or DEFAULT_PORTS[parsed.scheme],
        path=parsed.raw_path.decode("ascii") or "/",
        whole=url,
    )


def plain_url(url: WebUrl) -> str:
    """Return a URL without its query, normalised, as the resource holds it.

    Raises:
        UrlError: it is longer than the resource takes; percent-encoding may have made it so.
    """
    plain = url.whole if url.scheme == STORED else _without_query(url)
    if len(plain) > MAX_PLAIN_URL_LENGTH:
        raise UrlError(f"without its query it is longer than {MAX_PLAIN_URL_LENGTH} characters")
    return plain


def _without_query(url: WebUrl) -> str:
    host = f"[{url.host}]" if ":" in url.host else url.host
    port = "" if url.port == DEFAULT_PORTS[url.scheme] else f":{url.port}"
    return f"{url.scheme}://{host}{port}{url.path}"


def _refuse_ambiguity(url: str) -> None:
    if len(url) > MAX_URL_LENGTH:
        raise UrlError(f"it is longer than {MAX_URL_LENGTH} characters")
    if re.search(r"[\x00-\x20\x7f\\]|\s", url):
        raise UrlError("it holds a space, a control character or a backslash: percent-encode it")
    if "#" in url:
        raise UrlError("it has a fragment (#), which is never sent")
    authority = _AUTHORITY.match(url)
    if authority is None:
        raise UrlError("it is not of the form https://host/path")
    if "@" in authority[1]:
        raise UrlError("it names a user (user@host)")


def _refuse_climbing(url: str) -> None:
    """Refuse `.` and `..` as path segments, also when encoded, once or several times over."""
    path = _decoded(url.partition("://")[2].partition("/")[2])
    for segment in re.split(r"[/\\]", path):
        if segment.partition(";")[0].strip() in {".", ".."}:  # servers drop what follows a ;
            raise UrlError("its path climbs with '.' or '..'")


def _decoded(path: str) -> str:
    for _ in range(MAX_LAYERS):
        before, path = path, unquote(path)
        if path == before:
            return path
    raise UrlError(f"its path is percent-encoded more than {MAX_LAYERS - 1} times over")


def _host(raw: str) -> str:
    host = raw.lower().removesuffix(".")
    try:
        address = parse_host(host)
    except ValueError:
        raise UrlError("its host is neither a name nor an address") from None
    if address is not None:
        return str(address)
    if not _HOST_NAME.fullmatch(host) or len(host) > 253:
        raise UrlError("its host is not a valid name")
    return host
