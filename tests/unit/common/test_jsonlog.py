"""JSON logs carry the job's names and no secret."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitjob import jsonlog

TOKENS = "first-token,second-token"


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    out = io.StringIO()
    jsonlog.setup("worker", secrets=[TOKENS, None, "", "abc"], out=out)
    yield out
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)


def read(out: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_line_carries_the_names_of_its_job(lines: io.StringIO) -> None:
    with jsonlog.log_context(job_id="j", version_id="v", correlation_id=None, attempt="2"):
        logging.getLogger("a.b").warning("hello %s", "there", extra={"count": 3})
    logging.getLogger("a.b").info("outside")
    inside, outside = read(lines)
    assert inside.pop("time").endswith("Z")
    assert inside == {
        "level": "warning",
        "logger": "a.b",
        "message": "hello there",
        "component": "worker",
        "count": 3,
        "jobId": "j",
        "versionId": "v",
        "attempt": "2",
    }
    assert "jobId" not in outside


def test_no_secret_anywhere(lines: io.StringIO) -> None:
    url = "https://user:pw@host/a.wav?X-Amz-Signature=SECRET&x=1"
    log = logging.getLogger("x")
    log.info("from %s", url, extra={"deep": [{"url": url}], "token": "first-token"})
    error = ValueError(f"second-token and X-Amz-Credential=SECRET and {url}")
    log.error("it failed", exc_info=error)
    text = lines.getvalue()
    for secret in ("SECRET", "first-token", "second-token", "pw@"):
        assert secret not in text
    assert "https://host/a.wav?[redacted]" in text
    assert "ValueError" in text


def test_short_values_do_not_blot_out_words(lines: io.StringIO) -> None:
    logging.getLogger("x").info("abc")
    assert read(lines)[0]["message"] == "abc"


@given(st.text(alphabet=st.characters(exclude_characters="\"'<>\\", exclude_categories=["Z", "C"])))
def test_the_query_of_any_url_is_redacted(tail: str) -> None:
    assert jsonlog.redact(f"see https://h/p?q{tail}") == "see https://h/p?[redacted]"
