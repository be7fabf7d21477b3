"""Errors as callers read them."""

import pytest

from splitjob_api.error_catalogue import documented
from splitjob_api.kubernetes import ClusterUnavailableError
from splitjob_api.problems import cluster_unavailable, not_ready, retry_later
from splitjob_kube.preconditions import Unready, UnreadyReason


@pytest.mark.parametrize(
    ("seconds", "header", "words"),
    [(0.0, "1", "1 second"), (0.2, "1", "1 second"), (1.1, "2", "2 seconds"), (60, "60", "60 s")],
)
def test_retry_after_is_in_whole_seconds(seconds: float, header: str, words: str) -> None:
    answer = retry_later(429, "rate_limited", "too many requests", seconds=seconds)
    assert answer.headers["Retry-After"] == header
    assert answer.detail.startswith(f"too many requests; try again in {words}")


def test_what_the_cluster_cannot_do_now_says_retry_after() -> None:
    unready = Unready(UnreadyReason.CRD_MISSING, "no CRD")
    for error in (cluster_unavailable(ClusterUnavailableError("is away")), not_ready([unready])):
        assert error.status == 503
        assert int(error.response().headers["Retry-After"]) > 0


def test_retry_after_is_described_where_it_is_sent() -> None:
    described = documented("signature_invalid", "queue_full", "not_ready")
    assert ["headers" in described[status] for status in (401, 429, 503)] == [False, True, True]
