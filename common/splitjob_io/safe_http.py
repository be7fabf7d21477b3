"""HTTP to places that callers name: public addresses only, within a total time.

`client` gives an httpx client that resolves a host itself, checks every address of the answer, and
dials one of those it checked, so that a name which changes its address between check and connect
changes nothing. TLS is verified against the host's name as ever. Where a proxy leads outside, it is
asked for the address that was checked. An installation may give that up and ask it for names: what
they lead to is the proxy's business then, and only addresses and private names are refused.

Errors besides httpx's own:
  ForbiddenAddressError    the host is, or resolves to, an address that must not be contacted
  ForbiddenRedirectError   too many redirects, or one from https to http or to something else

Both are a `ForbiddenTargetError`, whose `failure` gives the job-level failure `source_forbidden`.
"""

import socket
import ssl
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from ipaddress import ip_address
from typing import Any

import httpcore
import httpx

from splitjob.addresses import Address, Network, forbidden_reason, parse_host
from splitjob.egress import DIRECT, Egress, Proxy, private_name
from splitjob.errors import ErrorCode, Failure
from splitjob.urls import DEFAULT_PORTS, UrlError, parse
from splitjob_io.certificates import ExplainingSocket
from splitjob_io.deadline import Deadline, DeadlineStream
from splitjob_io.proxy_tunnel import ProxyRefusalError, open_tunnel

MAX_REDIRECTS = 3
MAX_ADDRESSES = 4  # of one answer that are tried
# The longest wait for an address while there is another: one that swallows packets (IPv6 without a
# route, often) must not use up the time of those that answer.
PATIENCE_SECONDS = 3.0


class ForbiddenTargetError(Exception):
    """A place that must not be contacted was asked for. The message holds no query."""

    def failure(self) -> Failure:
        """Return the failure a job with such a source ends in."""
        return Failure(ErrorCode.SOURCE_FORBIDDEN, str(self))


class ForbiddenAddressError(ForbiddenTargetError):
    """The host is, or resolves to, an address that must not be contacted."""


class ForbiddenRedirectError(ForbiddenTargetError):
    """A redirect that is not followed."""


def client(
    egress: Egress = DIRECT,
    *,
    timeout: float | httpx.Timeout = 15.0,
    deadline: Deadline,
    ssl_context: ssl.SSLContext | None = None,
    user_agent: str = "track-tree-audio",
) -> httpx.Client:
    """Return an httpx client that talks to public addresses only and follows no redirects.

    Args:
        egress: which addresses besides public ones, and through which proxies.
        timeout: seconds for each step (connect, each read, each write).
        deadline: of all that this client does: an answer that trickles in cannot stretch it.
        ssl_context: instead of the usual certificate authorities.
        user_agent: what the other side sees in its log.
    """
    context = ssl_context or _default_ssl_context()
    context.sslsocket_class = ExplainingSocket
    dialler = _Dialler(egress, deadline, context)
    pools = {
        scheme.encode(): httpcore.ConnectionPool(
            ssl_context=context, network_backend=_AddressCheckingBackend(scheme, dialler)
        )
        for scheme in DEFAULT_PORTS
    }
    return httpx.Client(
        transport=_PoolTransport(pools),
        timeout=timeout,
        follow_redirects=False,
        trust_env=False,
        headers={"User-Agent": user_agent},
    )


@contextmanager
def stream(
    http: httpx.Client, url: str, headers: Mapping[str, str] | None = None
) -> Iterator[httpx.Response]:
    """GET a URL, following at most three redirects, each one checked.

    Args:
        http: a client of this module.
        url: the URL.
        headers: sent on every hop.

    Yields:
        The first answer that is no redirect, its body not read yet.

    Raises:
        ForbiddenTargetError: the URL is refused, or an address or a redirect on the way is.
        httpx.HTTPError: as httpx raises it.
    """
    try:
        parse(url)
    except UrlError as refused:
        raise ForbiddenTargetError(f"the source's URL is refused: {refused}") from None
    for _hop in range(MAX_REDIRECTS + 1):
        with http.stream("GET", url, headers=headers) as response:
            if not response.has_redirect_location:
                yield response
                return
            target = response.headers["Location"]
        url = redirect_target(url, target)
    raise ForbiddenRedirectError(f"the source redirects more than {MAX_REDIRECTS} times")


def resolve(host: str, port: int, timeout: float | None = None) -> list[Address]:
    """Return the addresses of a host, in the resolver's order.

    The system's resolver knows no time limit, so it runs in a thread that is left behind where it
    takes too long.

    Args:
        host: a name, or an address in any notation.
        port: the port that will be dialled.
        timeout: seconds.

    Raises:
        httpcore.ConnectTimeout: no answer within the time.
        httpcore.ConnectError: there is no such name.
    """
    literal = _literal(host)
    if literal is not None:
        return [literal]
    answer: list[Address] = []
    errors: list[OSError | UnicodeError] = []

    def ask() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            answer.extend(dict.fromkeys(ip_address(entry[4][0]) for entry in found))
        except (OSError, UnicodeError) as error:
            errors.append(error)

    thread = threading.Thread(target=ask, name="resolve", daemon=True)
    thread.start()
    thread.join(timeout)
    if thread.is_alive():
        raise httpcore.ConnectTimeout(f"no address for {host} within {timeout:.0f} s")
    if errors or not answer:
        raise httpcore.ConnectError(f"there is no address for {host}")
    return answer


def check_addresses(
    host: str, addresses: Iterable[Address], allowed_networks: Sequence[Network] = ()
) -> None:
    """Check every address a host resolves to.

    Raises:
        ForbiddenAddressError: one of them must not be contacted.
    """
    for address in addresses:
        reason = forbidden_reason(address, allowed_networks)
        if reason is None and _is_own(address) and not _within(address, allowed_networks):
            reason = "an address of this machine"
        if reason is not None:
            where = host if str(address) == host else f"{host} ({address})"
            raise ForbiddenAddressError(f"{where} is {reason}, which is not contacted")


def _within(address: Address, networks: Sequence[Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)


def _is_own(address: Address) -> bool:
    """Return whether an address belongs to this machine: only then can a socket be bound to it."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))
    except OSError:
        return False
    return True


def _literal(host: str) -> Address | None:
    try:
        return parse_host(host)
    except ValueError:
        raise ForbiddenAddressError(f"{host} is neither a name nor an address") from None


def redirect_target(url: str, location: str) -> str:
    """Return where a redirect leads.

    Args:
        url: the URL that answered with it.
        location: its Location header.

    Raises:
        ForbiddenRedirectError: it leads from https to http, or to no http(s) URL at all.
    """
    try:
        target = httpx.URL(url).join(location)
        target = target.copy_with(fragment=None)
        before, after = parse(url), parse(str(target))
    except UrlError as refused:
        raise ForbiddenRedirectError(
            f"the source redirects to a URL that is refused: {refused}"
        ) from None
    except (httpx.InvalidURL, ValueError):
        raise ForbiddenRedirectError(
            "the source redirects to something that is not a URL"
        ) from None
    if before.scheme == "https" and after.scheme != "https":
        raise ForbiddenRedirectError("the source redirects from https to http")
    return str(target)


@cache
def _default_ssl_context() -> ssl.SSLContext:
    return httpx.create_ssl_context()


class _Dialler:
    """Connects to addresses that were checked, and does nothing after the deadline."""

    def __init__(self, egress: Egress, deadline: Deadline, context: ssl.SSLContext) -> None:
        self._networks, self._proxies = egress
        self._deadline = deadline
        self._context = context
        self._sockets = httpcore.SyncBackend()

    def connect(
        self, scheme: str, host: str, port: int, timeout: float | None
    ) -> httpcore.NetworkStream:
        """Return a connection to a host, over a proxy where one leads to it."""
        limit = self._deadline.limit(timeout, httpcore.ConnectTimeout)
        proxy = self._proxies.leading_to(scheme, host, port)
        if proxy and self._proxies.resolve_names and _literal(host) is None:
            if private_name(host):
                raise ForbiddenAddressError(f"{host} is a private name, which is not contacted")
            return self._tunnel(proxy, (host, port), limit)
        addresses = resolve(host, port, limit)
        check_addresses(host, addresses, self._networks)
        return self._connect_one(proxy, addresses[:MAX_ADDRESSES], port, timeout)

    def _connect_one(
        self, proxy: Proxy | None, addresses: Sequence[Address], port: int, timeout: float | None
    ) -> httpcore.NetworkStream:
        """Return a connection to the first address that answers."""
        error: Exception = httpcore.ConnectError("there is no address")
        for address in addresses:
            limit = self._deadline.limit(timeout, httpcore.ConnectTimeout)
            if address != addresses[-1]:
                limit = min(limit, PATIENCE_SECONDS)
            try:
                if proxy and not self._proxies.exempts(address, port):
                    return self._tunnel(proxy, (str(address), port), limit)
                return self._dial(str(address), port, limit)
            except ProxyRefusalError:
                raise
            except (httpcore.ConnectError, httpcore.ConnectTimeout, httpcore.ProxyError) as failed:
                error = failed
        raise error

    def _dial(self, host: str, port: int, limit: float) -> httpcore.NetworkStream:
        return DeadlineStream(self._sockets.connect_tcp(host, port, limit), self._deadline)

    def _tunnel(
        self, proxy: Proxy, target: tuple[str, int], limit: float
    ) -> httpcore.NetworkStream:
        return open_tunnel(proxy, target, self._dial_proxy, self._context, limit)

    def _dial_proxy(self, host: str, port: int, limit: float) -> httpcore.NetworkStream:
        addresses = resolve(host, port, limit)
        return self._connect_one(None, addresses[:MAX_ADDRESSES], port, limit)


class _AddressCheckingBackend(httpcore.NetworkBackend):
    """What httpcore connects with, for the URLs of one scheme."""

    def __init__(self, scheme: str, dialler: _Dialler) -> None:
        self._scheme = scheme
        self._dialler = dialler

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        return self._dialler.connect(self._scheme, host, port, timeout)


class _PoolTransport(httpx.BaseTransport):
    """httpx on connection pools of ours (httpx's own transport takes no network backend)."""

    def __init__(self, pools: Mapping[bytes, httpcore.ConnectionPool]) -> None:
        self._pools = pools

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        target = httpcore.URL(
            scheme=request.url.raw_scheme,
            host=request.url.raw_host,
            port=request.url.port,
            target=request.url.raw_path,
        )
        with _as_httpx_errors(request):
            pool = self._pools.get(request.url.raw_scheme, self._pools[b"http"])
            answer = pool.handle_request(
                httpcore.Request(
                    method=request.method,
                    url=target,
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions=request.extensions,
                )
            )
        return httpx.Response(
            status_code=answer.status,
            headers=answer.headers,
            stream=_Body(answer, request),
            extensions=answer.extensions,
        )

    def close(self) -> None:
        for pool in self._pools.values():
            pool.close()


class _Body(httpx.SyncByteStream):
    def __init__(self, answer: httpcore.Response, request: httpx.Request) -> None:
        self._answer = answer
        self._request = request

    def __iter__(self) -> Iterator[bytes]:
        with _as_httpx_errors(self._request):
            yield from self._answer.iter_stream()

    def close(self) -> None:
        self._answer.close()


@contextmanager
def _as_httpx_errors(request: httpx.Request) -> Iterator[None]:
    """Raise httpcore's errors as httpx's of the same name."""
    try:
        yield
    except httpcore.ProxyError as error:
        raise httpx.ProxyError(str(error), request=request) from error
    except (
        httpcore.TimeoutException,
        httpcore.NetworkError,
        httpcore.ProtocolError,
        httpcore.UnsupportedProtocol,
    ) as error:
        kind = getattr(httpx, type(error).__name__, httpx.TransportError)
        raise kind(str(error), request=request) from error
