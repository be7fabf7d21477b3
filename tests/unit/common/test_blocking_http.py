"""Whole requests and answers over connections kept open, from threads."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch
from urllib.parse import urlsplit

import pytest
from tests.support.connect_proxy import connect_proxy
from tests.support.scripted_api_server import scripted_api_server

from splitjob.egress import Proxy
from splitjob_kube.blocking_http import BlockingPool
from splitjob_kube.http_connection import Answer, Server
from splitjob_kube.proxies import ProxyRefusalError
from splitjob_local.cluster.pki import Authority

REQUEST = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhere"


class Served:
    """A server that gives each request the next of its answers, in pieces; blank: it hangs up."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            # A client that has enough leaves while there is more to come: that is a reset.
            with connection, suppress(ConnectionError):
                while connection.recv(65536):
                    answer = self.answers.pop(0)
                    if not answer:
                        break
                    for start in range(0, len(answer), 7):
                        connection.sendall(answer[start : start + 7])


@contextmanager
def served(*answers: bytes) -> Iterator[tuple[Served, BlockingPool]]:
    server = Served(*answers)
    try:
        yield server, BlockingPool(Server("127.0.0.1", server.port, None, None))
    finally:
        server.close()


def exchanged(pool: BlockingPool, read_seconds: float = 5) -> Answer:
    return pool.exchange(pool.connection(5), REQUEST, read_seconds)


def test_a_connection_is_used_again() -> None:
    with served(OK, OK, OK) as (server, pool):
        answers = [exchanged(pool) for _ in range(3)]
    assert [(one.status, one.phrase, one.content) for one in answers] == 3 * [(200, "OK", b"here")]
    assert server.connections == 1


def test_an_answer_in_chunks_is_put_together() -> None:
    head = b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n"
    with served(head + b"3\r\nnot\r\n5\r\n here\r\n0\r\n\r\n") as (_, pool):
        answer = exchanged(pool)
    assert (answer.status, answer.phrase, answer.content) == (404, "Not Found", b"not here")


def test_a_connection_that_the_server_closes_is_not_used_again() -> None:
    closing = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\nhere"
    with served(closing, OK) as (server, pool):
        assert [exchanged(pool).content for _ in range(2)] == [b"here", b"here"]
    assert server.connections == 2


def test_a_request_that_nobody_answers_is_not_sent_again() -> None:
    with served(b"", OK) as (server, pool):
        with pytest.raises(ConnectionResetError):
            exchanged(pool)
        assert server.answers == [OK]
        assert exchanged(pool).content == b"here"


def test_what_is_no_answer_in_http_is_an_error_of_the_connection() -> None:
    with served(b"SSH-2.0-OpenSSH\r\n") as (_, pool), pytest.raises(ConnectionError, match="HTTP"):
        exchanged(pool)


def test_silence_ends_in_time() -> None:
    cut = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhe"
    with served(cut) as (_, pool), pytest.raises(TimeoutError):
        exchanged(pool, 0.1)


def test_an_answer_comes_piece_by_piece_before_it_has_ended() -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    with served(head + b"5\r\nfirst\r\n", OK) as (server, pool):
        with pool.streaming(pool.connection(5), REQUEST, 5) as answer:
            come = b""
            for piece in answer.pieces():
                come += piece
                if come == b"first":
                    break
        assert exchanged(pool).content == b"here"
    assert server.connections == 2, "what has not come whole is not used again"


@pytest.mark.parametrize(("proxy_tls", "server_tls"), [(False, True), (True, True), (True, False)])
def test_the_way_may_lead_through_a_proxy(
    tmp_path: Path, proxy_tls: bool, server_tls: bool
) -> None:
    """One tunnel for each connection, with the proxy's TLS around the server's own."""
    authority = Authority(tmp_path)
    pair = authority.server("there", ["localhost", "127.0.0.1"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    trusting = ssl.create_default_context(cafile=str(authority.certificate))
    with (
        scripted_api_server(context if server_tls else None) as server,
        connect_proxy(pair if proxy_tls else None) as proxy,
        patch.object(ssl, "create_default_context", lambda: trusting),
    ):
        proxy.credentials = "Basic bWU6cGFzcw=="
        port = urlsplit(server.url).port or 0
        to = Proxy("https" if proxy_tls else "http", "localhost", proxy.port, proxy.credentials)
        tls = trusting if server_tls else None
        pool = BlockingPool(Server("127.0.0.1", port, tls, None, to))
        assert [exchanged(pool).status for _ in range(2)] == [200, 200]
        assert proxy.asked == [f"127.0.0.1:{port}"]
        wrong = BlockingPool(Server("127.0.0.1", port, tls, None, replace(to, authorization="")))
        with pytest.raises(ProxyRefusalError, match="the proxy answers 407"):
            exchanged(wrong)
