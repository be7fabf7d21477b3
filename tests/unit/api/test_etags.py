"""ETags, and what a caller who has the answer already is told."""

import pytest
from starlette.requests import Request

from splitjob_api.etags import conditional, job_etag, page_etag


def answered(*given: str) -> tuple[int, bytes]:
    headers = [(b"if-none-match", value.encode()) for value in given]
    request = Request({"type": "http", "headers": headers})
    answer = conditional(request, job_etag(7), b"{}")
    assert answer.headers["etag"] == 'W/"7"'
    return answer.status_code, bytes(answer.body)


@pytest.mark.parametrize("given", ['W/"7"', '"7"', "*", ' W/"6" , W/"7"', '"a,b", "7"'])
def test_what_the_caller_has_is_not_sent_again(given: str) -> None:
    assert answered(given) == (304, b"")


@pytest.mark.parametrize("given", ['W/"8"', "7", "", '"', "W/7", '"77"', '*, "8"'])
def test_what_the_caller_has_not_is_sent(given: str) -> None:
    assert answered(given) == (200, b"{}")


def test_a_header_sent_twice_is_one_list() -> None:
    assert answered('"1"', '"7"')[0] == 304


def test_a_page_is_another_one_once_anything_in_it_is() -> None:
    tags = {page_etag(parts) for parts in (["a 1"], ["a 2"], ["a 1", "b 1"], [], ["b 1", "a 1"])}
    assert len(tags) == 5
