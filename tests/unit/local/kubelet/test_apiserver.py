"""The node's requests to the API server: what is asked again, and what is not."""

import asyncio
from collections.abc import Iterator

import pytest

from splitjob_kubelet.api.apiserver import RefusedError, UnavailableError, until_answered


class Answers:
    """Gives one answer after the other."""

    def __init__(self, *answers: Exception | str) -> None:
        self._answers: Iterator[Exception | str] = iter(answers)

    async def __call__(self) -> str:
        answer = next(self._answers)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.mark.parametrize(
    "answer",
    [
        UnavailableError("503: "),
        RefusedError(401, "Unauthorized"),
        RefusedError(403, "pods is forbidden: not yet ready to handle request"),
    ],
)
def test_what_an_api_server_says_that_has_just_begun_is_asked_again(answer: Exception) -> None:
    """Else the end of a pod is never told, and its GPU is taken for ever."""
    assert asyncio.run(until_answered("status", Answers(answer, answer, "taken"))) == "taken"


@pytest.mark.parametrize("status", [404, 409, 410, 422])
def test_what_is_refused_for_what_it_is_is_not_asked_again(status: int) -> None:
    with pytest.raises(RefusedError) as refused:
        asyncio.run(until_answered("status", Answers(RefusedError(status, "no"), "taken")))
    assert refused.value.status == status
