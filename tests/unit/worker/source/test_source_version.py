"""What the headers of a source's answers say about its version and its length."""

import httpx
import pytest

from splitjob_worker.source.source_version import SourceVersion, body_length, range_start


def answer(status: int = 200, **headers: str) -> httpx.Response:
    return httpx.Response(status, headers={k.replace("_", "-"): v for k, v in headers.items()})


def test_a_strong_etag_identifies_a_version_before_its_date() -> None:
    strong = SourceVersion.of(answer(ETag='"a"', Last_Modified="Mon"))
    weak = SourceVersion.of(answer(ETag='W/"a"', Last_Modified="Mon"))
    assert strong.validator == '"a"'
    assert weak.validator == "Mon"
    assert SourceVersion.of(answer()).validator == ""


def test_a_header_that_cannot_be_sent_back_identifies_nothing() -> None:
    odd = httpx.Response(200, headers=[(b"ETag", '"\u00e4"'.encode()), (b"Last-Modified", b"\xff")])
    assert SourceVersion.of(odd).validator == ""


@pytest.mark.parametrize(
    ("one", "other", "differ"),
    [
        (SourceVersion(etag='"a"'), SourceVersion(etag='"b"'), True),
        (SourceVersion(modified="Mon"), SourceVersion(modified="Tue"), True),
        (SourceVersion(total=1), SourceVersion(total=2), True),
        (SourceVersion(etag='"a"', total=1), SourceVersion(etag='"a"', total=2), True),
        (SourceVersion(etag='"a"'), SourceVersion(modified="Mon", total=5), False),
        (SourceVersion('"a"', "Mon", 5), SourceVersion('"a"', "Mon", 5), False),
    ],
)
def test_versions_differ_only_where_both_say_something(
    one: SourceVersion, other: SourceVersion, differ: bool
) -> None:
    assert one.differs_from(other) == differ
    assert other.differs_from(one) == differ


def test_a_later_answer_adds_what_the_first_did_not_say() -> None:
    first = SourceVersion(etag='"a"')
    assert first.completed_by(SourceVersion('"b"', "Mon", 5)) == SourceVersion('"a"', "Mon", 5)


def test_the_total_of_a_partial_answer_is_that_of_the_whole_source() -> None:
    partial = answer(206, Content_Range="bytes 100-199/500", Content_Length="100")
    assert SourceVersion.of(partial).total == 500
    assert range_start(partial) == "100"
    assert body_length(partial) == 100


@pytest.mark.parametrize("text", ["", "-1", "5 bytes", "\u0662", "9" * 21])
def test_a_length_that_is_no_number_counts_as_unknown(text: str) -> None:
    response = httpx.Response(200, headers=[(b"Content-Length", text.encode())])
    assert body_length(response) == 0


def test_an_unknown_total_counts_as_unknown() -> None:
    assert SourceVersion.of(answer(206, Content_Range="bytes 0-9/*")).total == 0
