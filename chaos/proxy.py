"""A proxy between the operator and the API server, which can be in a bad mood.

It speaks TLS both ways: with a certificate of the cluster's authority to the operator, and with the
operator's own token to the API server.
"""

import asyncio
import json
import socket
import ssl
import threading
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from random import Random

import aiohttp
from aiohttp import web
from yarl import URL

from splitjob_local.cluster.pki import KeyPair

HOP_BY_HOP = {"connection", "content-length", "host", "keep-alive", "transfer-encoding"}
CALM = ""
DELAYS, CUTS, LOSES, HOLDS = "delays", "cuts", "loses answers", "holds watches back"
LONGEST_DELAY_SECONDS = 4.0
# What the client did not say, it is not made to say: the API server compresses a long answer for
# whoever takes that.
NOT_ADDED = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
GONE = 410


@dataclass(frozen=True)
class Upstream:
    """Where the proxy leads to.

    Attributes:
        url: of the API server.
        authority: the CA certificate that it is trusted by.
        identity: the proxy's own certificate.
    """

    url: str
    authority: Path
    identity: KeyPair


class Proxy:
    """Passes requests on, but for those that its mood spoils.

    Args:
        random: draws which requests those are.
        port: where it listens, on 127.0.0.1; 0: at any that is free.

    Attributes:
        port: where it listens.
        mood: what it does: `CALM`, one of the moods above, or `answers` and a status.
        share: of the requests that it spoils.
        spoilt: how many it has.
    """

    def __init__(self, random: Random, port: int = 0) -> None:
        self._random = random
        self._socket = socket.create_server(("127.0.0.1", port))
        self.port: int = self._socket.getsockname()[1]
        self.mood, self.share, self.spoilt = CALM, 0.0, 0
        self._loop = asyncio.new_event_loop()
        self._released = asyncio.Event()
        self._released.set()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def start(self, upstream: Upstream) -> None:
        """Serve until it is closed."""
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._serve(upstream), self._loop).result()

    def be(self, mood: str, share: float = 1.0) -> None:
        """Take on a mood, for a share of the requests."""
        self.share, self.mood = share, mood
        change = self._released.clear if mood == HOLDS else self._released.set
        self._loop.call_soon_threadsafe(change)

    def close(self) -> None:
        """Serve no more."""
        if self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
        self._socket.close()

    async def _serve(self, upstream: Upstream) -> None:
        self._url = upstream.url
        trusted = ssl.create_default_context(cafile=upstream.authority)
        own = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        own.load_cert_chain(upstream.identity.certificate, upstream.identity.key)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=trusted, limit=0),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=10),
            auto_decompress=False,
        )
        app = web.Application(client_max_size=1 << 26)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        await web.SockSite(self._runner, self._socket, ssl_context=own).start()

    async def _end(self) -> None:
        await self._runner.cleanup()  # first: who is being answered still needs the session
        await self._session.close()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        mood = self.mood if self._random.random() < self.share else CALM
        self.spoilt += mood not in {CALM, HOLDS}
        if mood == CUTS:
            return _hang_up(request)
        if mood == DELAYS:
            await asyncio.sleep(self._random.uniform(0, LONGEST_DELAY_SECONDS))
        elif mood.startswith("answers "):
            status = int(mood.removeprefix("answers "))
            if status != GONE or request.method == "GET":  # only what is read can be too old
                return _refuse(status)
        try:
            return await self._pass_on(request, loses=mood == LOSES)
        except (aiohttp.ClientError, ConnectionError, TimeoutError):
            return _hang_up(request)

    async def _pass_on(self, request: web.Request, *, loses: bool) -> web.StreamResponse:
        headers = {n: v for n, v in request.headers.items() if n.lower() not in HOP_BY_HOP}
        target = URL(self._url + request.raw_path, encoded=True)
        body = await request.read()
        async with self._session.request(
            request.method,
            target,
            headers=headers,
            data=body or None,
            allow_redirects=False,
            skip_auto_headers=NOT_ADDED,
        ) as found:
            if loses:
                return _hang_up(request)
            kept = {n: v for n, v in found.headers.items() if n.lower() not in HOP_BY_HOP}
            answer = web.StreamResponse(status=found.status, headers=kept)
            await answer.prepare(request)
            watch = request.query.get("watch") in {"1", "true"}
            async for piece in found.content.iter_any():
                if watch and not await self._may_pass(request, answer):
                    return answer
                await answer.write(piece)
            await answer.write_eof()
            return answer

    async def _may_pass(self, request: web.Request, answer: web.StreamResponse) -> bool:
        """Hold a watch's next piece back, or end the watch, as the mood is."""
        await self._released.wait()
        if self.mood == CUTS:
            _hang_up(request)
            return False
        if self.mood == f"answers {GONE}":
            expired = {"type": "ERROR", "object": _status(GONE)}
            await answer.write(json.dumps(expired).encode() + b"\n")
            await answer.write_eof()
            return False
        return True


def _hang_up(request: web.Request) -> web.Response:
    if isinstance(request.transport, asyncio.WriteTransport):
        request.transport.abort()
    return web.Response(status=HTTPStatus.BAD_GATEWAY)  # nobody hears it


def _refuse(status: int) -> web.Response:
    headers = {"Retry-After": "1"} if status == HTTPStatus.TOO_MANY_REQUESTS else {}
    return web.json_response(_status(status), status=status, headers=headers)


def _status(status: int) -> dict[str, object]:
    reason = "Expired" if status == GONE else HTTPStatus(status).phrase.replace(" ", "")
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "reason": reason,
        "code": status,
        "message": "chaos",
    }
