"""Whether a presigned PUT can go through: what its URL signs, against the headers given with it.

A storage refuses a PUT without a header that its URL's signature covers, and nobody knows the
length or a checksum of a stem before it is made. Whatever of that can be read is said here, before
any work is done. What a URL does not say (AWS' version 2, Google's V2, Azure) only the PUT shows.

Sources: AWS' "Authenticating Requests: Using Query Parameters"; Google's "V4 signing process with
your own program"; Azure's "Put Blob" and "Create a service SAS".
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from splitjob.presigned import query_of, signed_headers

MAX_HEADERS = 8
MAX_HEADER_BYTES = 1024  # names and values of one upload

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]{1,128}")
_VALUE = re.compile(r"[!-~]([ -~]*[!-~])?")
# RFC 9110, 7.6.1 and 10.1.1, and what frames the message.
_OF_THE_CONNECTION = {
    "connection",
    "content-length",
    "content-range",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
}
_LENGTHS = {"content-length", "x-amz-decoded-content-length"}
_CHECKSUMS = re.compile(
    r"content-md5|(content-|repr-)?digest"
    r"|x-[a-z0-9]+-(checksum-.+|sdk-checksum-algorithm|trailer|hash|hash-crc64ecma"
    r"|(blob-)?content-(md5|sha1|sha256|crc64))"
)
_UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
_PUTS = {"putobject", "uploadpart"}
_NAMED_AT_MOST = 8


class UploadProblem(NamedTuple):
    """Why a PUT cannot go through.

    Attributes:
        code: as in `splitjob.request_policy.FieldProblem`.
        message: for people; names headers, never a value.
    """

    code: str
    message: str


def encode_headers(headers: Mapping[str, str]) -> str:
    """Return headers as the request's Secret holds them."""
    return json.dumps(dict(headers))


def decode_headers(stored: str) -> dict[str, str] | None:
    """Return headers that a Secret holds; None where it does not hold any in this form."""
    try:
        headers = json.loads(stored)
    except (ValueError, RecursionError):
        return None
    if not isinstance(headers, dict) or not all(isinstance(v, str) for v in headers.values()):
        return None
    return headers


def upload_problems(url: str, headers: Mapping[str, str]) -> Iterator[UploadProblem]:
    """Yield why a file that is not made yet could not be PUT to a URL.

    Args:
        url: the whole URL.
        headers: sent with it, by name.
    """
    query = query_of(url)
    given = {name.lower(): value for name, value in headers.items()}
    yield from _size_problems(headers)
    if len(given) < len(headers):
        yield UploadProblem("invalid", "a header is given twice, in upper and in lower case")
    for name, value in given.items():
        if problem := _header_problem(name, value):
            yield problem
    yield from _signed_problems(signed_headers(query), given)
    yield from _query_problems(query)
    if "sig" in query and ("sv" in query or "sr" in query):
        yield from _azure_problems(query, given)


def _size_problems(headers: Mapping[str, str]) -> Iterator[UploadProblem]:
    if len(headers) > MAX_HEADERS:
        message = f"{len(headers)} headers are given, {MAX_HEADERS} at most are sent"
        yield UploadProblem("invalid", message)
    size = sum(len(name.encode()) + len(value.encode()) for name, value in headers.items())
    if size > MAX_HEADER_BYTES:
        message = f"names and values of its headers are {size} bytes, {MAX_HEADER_BYTES} fit"
        yield UploadProblem("invalid", message)


def _header_problem(name: str, value: str) -> UploadProblem | None:
    """Return why a header cannot be sent.

    Args:
        name: in lower case.
        value: as it was given.
    """
    if not _NAME.fullmatch(name):
        return UploadProblem("invalid", "a header has a name that HTTP does not allow")
    if not _VALUE.fullmatch(value):
        return UploadProblem(
            "invalid",
            f"the value of the header {name} cannot be sent: it must be printable ASCII, without "
            "a space at either end",
        )
    if name in _OF_THE_CONNECTION or name.startswith("proxy-"):
        return UploadProblem("forbidden", f"the header {name} is the sender's own: leave it out")
    if name == "authorization":
        message = "the header authorization is not sent: the right to write comes with the URL"
        return UploadProblem("forbidden", message)
    if _unknowable(name, value) or (name == "content-encoding" and "aws-chunked" in value.lower()):
        return UploadProblem(
            "unsupported",
            f"the header {name} is of the file's content, which is not made yet: leave it out",
        )
    return None


def _signed_problems(
    signed: Mapping[str, str | None], given: Mapping[str, str]
) -> Iterator[UploadProblem]:
    unknowable = [name for name in signed if _unknowable(name, given.get(name, _UNSIGNED_PAYLOAD))]
    if unknowable:
        yield UploadProblem(
            "unsupported",
            f"its URL signs {_named(unknowable)}, and the file is not made yet: presign it without "
            "length and checksum",
        )
    if missing := [name for name in signed if name not in given and name not in unknowable]:
        yield UploadProblem(
            "invalid",
            f'its URL signs {_named(missing)}: give {{"url", "headers"}}, each header with the '
            "value that was signed",
        )
    if others := [n for n, value in signed.items() if value and given.get(n, value) != value]:
        yield UploadProblem(
            "invalid", f"its URL signs another value than the one given of {_named(others)}"
        )


def _query_problems(query: Mapping[str, str]) -> Iterator[UploadProblem]:
    if asked := [n for n, value in query.items() if n.startswith("x-") and _unknowable(n, value)]:
        yield UploadProblem(
            "unsupported",
            f"its URL asks for {_named(asked)}, a checksum of a file that is not made yet: presign "
            "it without (in AWS' SDKs: request checksum calculation WHEN_REQUIRED)",
        )
    if query.get("x-id", "PutObject").lower() not in _PUTS:
        yield UploadProblem("unsupported", "its URL is presigned for something else than a PUT")


def _azure_problems(query: Mapping[str, str], given: Mapping[str, str]) -> Iterator[UploadProblem]:
    kind = given.get("x-ms-blob-type")
    if kind is None:
        yield UploadProblem(
            "invalid",
            "it is an Azure SAS, and a PUT there needs the header x-ms-blob-type: give "
            '{"url", "headers": {"x-ms-blob-type": "BlockBlob"}}',
        )
    elif kind.lower() != "blockblob":
        message = "the header x-ms-blob-type must be BlockBlob: no other blob is written by a PUT"
        yield UploadProblem("unsupported", message)
    if not {"c", "w"} & set(query.get("sp", "w")):
        message = "it is an Azure SAS without the right to write (w or c in its sp)"
        yield UploadProblem("unsupported", message)


def _unknowable(name: str, value: str) -> bool:
    """Whether a header says the length or a checksum of the content."""
    if name.endswith("-content-sha256") and value == _UNSIGNED_PAYLOAD:
        return False
    return name in _LENGTHS or _CHECKSUMS.fullmatch(name) is not None


def _named(names: Iterable[str]) -> str:
    """Return the names for a sentence; what could not be a header's name is not repeated."""
    usable = [name for name in names if _NAME.fullmatch(name)][:_NAMED_AT_MOST]
    if not usable:
        return "a header that cannot be sent"
    return f"the header {usable[0]}" if len(usable) == 1 else f"the headers {', '.join(usable)}"
