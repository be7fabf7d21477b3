"""Whole requests and answers over connections kept open, from threads."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from splitjob_kube.blocking_http import BlockingPool
from splitjob_kube.http_connection import Server

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
            with connection:
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
        yield server, BlockingPool(Server("127.0.0.1", server.port, None, None), 5)
    finally:
        server.close()


def test_a_connection_is_used_again() -> None:
    with served(OK, OK, OK) as (server, pool):
        answers = [pool.exchange(REQUEST, 5) for _ in range(3)]
    assert [(one.status, one.phrase, one.content) for one in answers] == 3 * [(200, "OK", b"here")]
    assert server.connections == 1


def test_an_answer_in_chunks_is_put_together() -> None:
    head = b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n"
    with served(head + b"3\r\nnot\r\n5\r\n here\r\n0\r\n\r\n") as (_, pool):
        answer = pool.exchange(REQUEST, 5)
    assert (answer.status, answer.phrase, answer.content) == (404, "Not Found", b"not here")


def test_a_connection_that_the_server_closes_is_not_used_again() -> None:
    closing = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\nhere"
    with served(closing, OK) as (server, pool):
        assert [pool.exchange(REQUEST, 5).content for _ in range(2)] == [b"here", b"here"]
    assert server.connections == 2


def test_a_request_that_nobody_answers_is_not_sent_again() -> None:
    with served(b"", OK) as (server, pool):
        with pytest.raises(ConnectionResetError):
            pool.exchange(REQUEST, 5)
        assert server.answers == [OK]
        assert pool.exchange(REQUEST, 5).content == b"here"


def test_what_is_no_answer_in_http_is_an_error_of_the_connection() -> None:
    with served(b"SSH-2.0-OpenSSH\r\n") as (_, pool), pytest.raises(ConnectionError, match="HTTP"):
        pool.exchange(REQUEST, 5)


def test_silence_ends_in_time() -> None:
    cut = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhe"
    with served(cut) as (_, pool), pytest.raises(TimeoutError):
        pool.exchange(REQUEST, 0.1)
