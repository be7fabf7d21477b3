"""A bucket that demands things: the real S3 server behind a front that refuses as AWS does.

versitygw itself demands none of them; it does check the signatures of what the front lets through,
and the digests and checksums that are sent.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.support.flaky_storage import Flaky
from tests.support.web import Web

from splitjob_local.cluster.s3server import S3Access

Headers = Mapping[str, str]
# Returns what is answered, a status and a code, or None where the request may pass.
Demand = Callable[[str, dict[str, list[str]], Headers], tuple[int, str] | None]


class StrictFront(Flaky):
    """Passes on what meets a demand.

    Attributes:
        demand: sees method, query and headers (names in lower case) of each request.
        seen: method, query and headers of all that passed.
        access: to the bucket through the front.
    """

    def __init__(self, web: Web, s3: S3Access, demand: Demand) -> None:
        super().__init__(web, s3)
        self.demand = demand
        self.access = replace(s3, endpoint=web.url)
        self.seen: list[tuple[str, dict[str, list[str]], Headers]] = []

    def _handle(self, request: Any) -> None:
        query = parse_qs(urlsplit(request.path).query, keep_blank_values=True)
        headers = {name.lower(): value for name, value in request.headers.items()}
        refusal = self.demand(request.command, query, headers)
        if refusal is None:
            self.seen.append((request.command, query, headers))
            self._pass_on(request, request.body)
            return
        status, code = refusal
        body = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()
        request.send_response(status)
        request.send_header("Content-Type", "application/xml")
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(b"" if request.command == "HEAD" else body)


def object_lock(method: str, query: dict[str, list[str]], headers: Headers) -> Any:
    """Demand a digest of every object and part, as default retention does."""
    if method != "PUT" or "tagging" in query or "x-amz-copy-source" in headers:
        return None
    digests = ("content-md5", "x-amz-checksum-", "x-amz-sdk-checksum-algorithm", "x-amz-trailer")
    return None if any(n.startswith(digests) for n in headers) else (400, "InvalidRequest")


def encrypted(how: str, key: str = "") -> Demand:
    """Demand that each object be begun with an encryption, as a bucket's policy does."""

    def demand(method: str, query: dict[str, list[str]], headers: Headers) -> Any:
        begins = (method == "PUT" and not {"partNumber", "tagging"} & query.keys()) or (
            method == "POST" and "uploads" in query
        )
        asked = headers.get("x-amz-server-side-encryption")
        named = headers.get("x-amz-server-side-encryption-aws-kms-key-id", "")
        right = asked == how and (not key or named == key)
        return (403, "AccessDenied") if begins and not right else None

    return demand


def requester_pays(_method: str, query: dict[str, list[str]], headers: Headers) -> Any:
    """Demand the agreement to pay in header or query, as a bucket of somebody else does."""
    agreed = headers.get("x-amz-request-payer") or query.get("x-amz-request-payer", [""])[0]
    return None if agreed == "requester" else (403, "AccessDenied")


def virtual_host(host: str) -> Demand:
    """Demand that the bucket be named by the host, as Aliyun and new regions of others do."""

    def demand(_method: str, _query: dict[str, list[str]], headers: Headers) -> Any:
        return None if headers["host"] == host else (403, "SecondLevelDomainForbidden")

    return demand


def both(*demands: Demand) -> Demand:
    """Demand all of them."""

    def demand(method: str, query: dict[str, list[str]], headers: Headers) -> Any:
        refusals = (one(method, query, headers) for one in demands)
        return next((refusal for refusal in refusals if refusal), None)

    return demand
