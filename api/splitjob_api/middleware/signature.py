"""Who may come in: size, then time, then signature or token, before anything else is looked at.

An ASGI middleware, so that no route can forget it: whatever is not listed as open needs a
signature over its raw bytes or, where the installation takes them, a Kubernetes token. The order is
part of the contract; to a caller who is not let in, nothing is said about the request itself.
"""

import asyncio
import logging
import re
import time
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from splitjob.signing import (
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    SignatureError,
    Signer,
    request_payload,
)
from splitjob_api.caller import Caller, remember_caller
from splitjob_api.cluster_limit import ClusterLimit
from splitjob_api.kubernetes import ClusterUnavailableError
from splitjob_api.problems import ApiError, cluster_unavailable

MAX_BODY_BYTES = 64 * 1024
MAX_HEAD_BYTES = 32 * 1024
OPEN_PATHS = frozenset({"/healthz", "/readyz", "/metrics", "/openapi.json"})
# Elsewhere a body means nothing, so it must not stand in for the line that names the resource:
# the signature of a captured POST would open any of them.
_METHODS_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
_CLOSE = {"Connection": "close"}
_AUTHORIZATION = "Authorization"
# Whoever tries tokens one after the other must not take the threads that requests are served by.
TOKENS_AT_ONCE = 8
TOKEN_WAIT_SECONDS = 2.0
# A router reads a path up to a line end as if it ended there; none of ours holds any of these.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")

logger = logging.getLogger(__name__)


class Tokens(Protocol):
    """Who comes with a header `Authorization`, a method and a path (`KubernetesTokens`)."""

    def remembered(self, authorization: str, method: str, path: str) -> Caller | None:
        """Return who it is where that is known, at once; raises ApiError."""

    def admit(self, authorization: str, method: str, path: str) -> Caller:
        """Return who it is; may block; raises ApiError or ClusterUnavailableError."""


class ClientDisconnectedError(Exception):
    """The client closed the connection before its request was complete."""


class SignatureMiddleware:
    """Lets requests through to an app that are small enough, whole, and signed or with a token.

    Args:
        app: what is behind it.
        signer: knows the tokens that sign.
        open_paths: need no signature.
        body_seconds: time for a whole body to arrive.
        tokens: says who comes with a Kubernetes token; None: none are taken.
        clock: Unix time.
    """

    def __init__(
        self,
        app: ASGIApp,
        signer: Signer,
        open_paths: Collection[str] = OPEN_PATHS,
        body_seconds: float = 10,
        tokens: Tokens | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._app = app
        self._signer = signer
        self._open_paths = open_paths
        self._body_seconds = body_seconds
        self._tokens = tokens
        self._token_limit = ClusterLimit(TOKENS_AT_ONCE, TOKEN_WAIT_SECONDS, "tokens")
        self._token_threads = ThreadPoolExecutor(TOKENS_AT_ONCE, "tokens")
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            admitted = await self._admit(scope, receive)
        except ClientDisconnectedError:
            return
        except ApiError as problem:
            await problem.response()(scope, receive, send)
            return
        except ClusterUnavailableError as error:
            logger.warning("%s", error)
            await cluster_unavailable(error).response()(scope, receive, send)
            return
        await self._app(scope, admitted, send)

    async def _admit(self, scope: Scope, receive: Receive) -> Receive:
        """Return the channel that the app reads a request from, once it may."""
        _refuse_control_characters(scope)
        _refuse_large_head(scope)
        if scope["path"] in self._open_paths:
            return receive
        headers = Headers(scope=scope)
        body = await self._read(headers, receive)
        if self._tokens is not None and _brings_only_a_token(headers):
            caller = await self._caller_of_token(self._tokens, scope, headers)
        else:
            caller = self._signer_of(scope, headers, body)
        remember_caller(scope, caller)
        return _hand_on_body(body, receive)

    async def _read(self, headers: Headers, receive: Receive) -> bytes:
        stated = headers.get("content-length", "")
        if stated.isascii() and stated.isdigit() and _exceeds(stated):
            raise _too_large()
        try:
            async with asyncio.timeout(self._body_seconds):
                return await _collect(receive)
        except TimeoutError:
            raise ApiError(
                408,
                "body_timeout",
                f"the body was not complete after {self._body_seconds:g} seconds",
                headers=_CLOSE,
            ) from None

    async def _caller_of_token(self, tokens: Tokens, scope: Scope, headers: Headers) -> Caller:
        """Return who comes with a token; who was asked about before waits for nobody else."""
        request = (_single(headers, _AUTHORIZATION) or "", scope["method"], scope["path"])
        if remembered := tokens.remembered(*request):
            return remembered
        async with self._token_limit.held():
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._token_threads, tokens.admit, *request)

    def _signer_of(self, scope: Scope, headers: Headers, body: bytes) -> Caller:
        path = scope.get("raw_path") or scope["path"].encode()
        signed_body = body if scope["method"] in _METHODS_WITH_BODY else b""
        try:
            index = self._signer.verify(
                request_payload(scope["method"], path, scope["query_string"], signed_body),
                _single(headers, TIMESTAMP_HEADER),
                _single(headers, SIGNATURE_HEADER),
                self._clock(),
            )
        except SignatureError as refused:
            raise ApiError(
                401,
                "signature_invalid",
                refused.reason + self._hint(headers),
                headers={"WWW-Authenticate": self._schemes()},
            ) from None
        return Caller("token", f"token-{index + 1}")

    def _schemes(self) -> str:
        return "HMAC-SHA256" if self._tokens is None else "HMAC-SHA256, Bearer"

    def _hint(self, headers: Headers) -> str:
        """Return what to add where somebody tried to come in by a token."""
        if self._tokens is None and _brings_only_a_token(headers):
            return "; this installation takes no Kubernetes tokens (api.kubernetesTokens.enabled)"
        return ""


def _refuse_control_characters(scope: Scope) -> None:
    if _CONTROL.search(scope["path"]):
        raise ApiError(404, "not_found", "there is nothing at a path with control characters")


def _refuse_large_head(scope: Scope) -> None:
    """Refuse what the server let through because it arrived in one piece."""
    size = len(scope["query_string"]) + len(scope["path"])
    size += sum(len(name) + len(value) for name, value in scope["headers"])
    if size > MAX_HEAD_BYTES:
        raise ApiError(
            431,
            "headers_too_large",
            f"path and headers may have {MAX_HEAD_BYTES} bytes",
            headers=_CLOSE,
        )


async def _collect(receive: Receive) -> bytes:
    body = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnectedError
        body += message.get("body", b"")
        if len(body) > MAX_BODY_BYTES:
            raise _too_large()
        more = message.get("more_body", False)
    return bytes(body)


def _hand_on_body(body: bytes, receive: Receive) -> Receive:
    """Return a receive channel that gives a body already read, then whatever comes after it."""
    waiting = True

    async def replay() -> Message:
        nonlocal waiting
        if waiting:
            waiting = False
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return replay


def _single(headers: Headers, name: str) -> str | None:
    """Return a header's value; of one sent twice, a value that no check accepts."""
    values = headers.getlist(name)
    return ", ".join(values) if values else None


def _brings_only_a_token(headers: Headers) -> bool:
    """Whether a request is to be judged by its token: one that is signed is not."""
    signed = SIGNATURE_HEADER in headers or TIMESTAMP_HEADER in headers
    return _AUTHORIZATION in headers and not signed


def _exceeds(stated: str) -> bool:
    digits = stated.lstrip("0")
    return len(digits) > 9 or int(digits or "0") > MAX_BODY_BYTES


def _too_large() -> ApiError:
    return ApiError(
        413, "body_too_large", f"a body may have {MAX_BODY_BYTES} bytes", headers=_CLOSE
    )
