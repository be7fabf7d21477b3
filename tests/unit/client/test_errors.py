"""What goes wrong is an error of its own, of both clients, against a real HTTP server."""

import httpx
import pytest
from tests.support.client_caller import SONG, Caller
from tests.support.fake_service import (
    FakeService,
    problem,
    sends,
)
from tests.support.ports import free_port

from splitjob_client import (
    AnswerError,
    BusyError,
    ClientError,
    ConflictError,
    ForbiddenError,
    GoneError,
    InvalidRequestError,
    NotFoundError,
    NotOfferedError,
    SettingsError,
    UnauthorizedError,
    UnavailableError,
    UnexpectedAnswerError,
    UnreachableError,
)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, InvalidRequestError),
        (401, UnauthorizedError),
        (403, ForbiddenError),
        (404, NotFoundError),
        (409, ConflictError),
        (410, GoneError),
        (413, InvalidRequestError),
        (422, InvalidRequestError),
        (429, BusyError),
        (501, NotOfferedError),
        (503, UnavailableError),
        (500, AnswerError),
    ],
)
def test_each_problem_is_an_error_of_its_own(
    caller: Caller, service: FakeService, status: int, kind: type[AnswerError]
) -> None:
    errors = [{"field": "uploads.vocals", "code": "invalid", "message": "no such stem"}]
    service.on("POST /split", problem(status, "some_code", errors=errors, jobId="split-1"))
    with pytest.raises(kind) as raised:
        caller.ask(service.url, "submit", **SONG)
    error = raised.value
    assert (error.status, error.code, error.job_id) == (status, "some_code", "split-1")
    assert error.errors[0].field == "uploads.vocals"
    assert error.request_id == "request-1"
    assert str(error) == (f"uploads.vocals: no such stem ({status} some_code)")


@pytest.mark.parametrize("page", [b"<html>Bad gateway</html>", b"", b"[]", b"\xff", b"[" * 99999])
def test_an_error_that_something_in_between_writes(
    caller: Caller, service: FakeService, page: bytes
) -> None:
    service.on("GET /models", sends(page, 502, "text/html"))
    with pytest.raises(UnavailableError, match="HTTP 502"):
        caller.ask(service.url, "models")


@pytest.mark.parametrize("page", [b"<html>Welcome</html>", b"{}", b'{"models": [1]}', b""])
def test_an_answer_that_is_none_of_the_service(
    caller: Caller, service: FakeService, page: bytes
) -> None:
    service.on("GET /models", sends(page, 200, "text/html"))
    with pytest.raises(UnexpectedAnswerError):
        caller.ask(service.url, "models")


def test_a_redirect_is_not_followed(caller: Caller, service: FakeService) -> None:
    """A signature and a token are for this address alone."""
    service.on("GET /models", sends(b"", 307, "text/plain", Location=f"{service.url}/elsewhere"))
    with pytest.raises(UnexpectedAnswerError, match="307"):
        caller.ask(service.url, "models")
    assert service.targets() == ["GET /models"]


def test_nobody_there(caller: Caller) -> None:
    with pytest.raises(UnreachableError, match="the service cannot be reached"):
        caller.ask(f"http://127.0.0.1:{free_port()}", "models")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "stems.example.com",
        "ftp://a",
        "https://",
        "https://u:p@a",
        "https://a?b=c",
        "http://[::1",
    ],
)
def test_an_address_that_is_none(caller: Caller, url: str) -> None:
    with pytest.raises(SettingsError, match="address"):
        caller.ask(url, "models")


def test_every_error_is_a_client_error() -> None:
    assert issubclass(SettingsError, ClientError)
    assert not issubclass(ClientError, httpx.HTTPError)
