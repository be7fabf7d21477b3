"""What a presigned URL says of itself: when it expires, and which headers its signature covers.

Sources: AWS Signature Version 4 query parameters (`X-Amz-Date`, `X-Amz-Expires`,
`X-Amz-SignedHeaders`; R2 and other S3 servers use the same), its version 2 (`Expires`), Google
Cloud Storage's V4 (`X-Goog-...`), Volcengine TOS (`X-Tos-...`), Alibaba OSS (`x-oss-...`), Tencent
COS (`q-sign-time`, `q-header-list`), and Azure's shared access signatures (`se`).
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlsplit

_V4_DATE = "%Y%m%dT%H%M%SZ"
_SIGNED_HEADERS = re.compile(r"x-[a-z0-9]+-signedheaders|x-oss-additional-headers|q-header-list")
# With version 2 an SDK repeats the headers it has signed in the query. The server takes them from
# the headers alone, but for the token of a role.
_REPEATED_V2 = re.compile(r"content-type|content-md5|x-amz-(?!security-token$).+")


def query_of(url: str) -> dict[str, str]:
    """Return the query of a URL, names in lower case; empty where it cannot be read."""
    try:
        pairs = parse_qsl(urlsplit(url).query)
    except ValueError:
        return {}
    return {name.lower(): value for name, value in pairs}


def signed_headers(query: Mapping[str, str]) -> dict[str, str | None]:
    """Return the headers that a presigned URL says its signature covers, `host` left out.

    Args:
        query: of the URL (`query_of`).

    Returns:
        By name in lower case: the value it was signed with, None where the URL does not say. Empty
        where the URL does not say what it signs, as with AWS' version 2 as most SDKs write it.
    """
    lists = [value for name, value in query.items() if _SIGNED_HEADERS.fullmatch(name)]
    names = (name.strip().lower() for names in lists for name in names.split(";"))
    found: dict[str, str | None] = dict.fromkeys(name for name in names if name not in {"", "host"})
    if "awsaccesskeyid" in query and "signature" in query:
        found.update((n, value) for n, value in query.items() if _REPEATED_V2.fullmatch(n))
    return found


def expiry(url: str) -> datetime | None:
    """Return when a presigned URL ceases to work.

    Args:
        url: the whole URL.

    Returns:
        An aware time in UTC, or None where the URL is not presigned or does not say it plainly.
    """
    query = query_of(url)
    try:
        return _v4(query) or _v2(query) or _cos(query) or _azure(query)
    except (ValueError, OverflowError, OSError):
        return None


def _v4(query: dict[str, str]) -> datetime | None:
    for vendor in ("x-amz", "x-goog", "x-oss", "x-tos"):
        signed_at, seconds = query.get(f"{vendor}-date"), query.get(f"{vendor}-expires")
        if signed_at is not None and seconds is not None:
            began = datetime.strptime(signed_at, _V4_DATE).replace(tzinfo=UTC)
            return began + timedelta(seconds=int(seconds))
    return None


def _v2(query: dict[str, str]) -> datetime | None:
    if "signature" not in query or "expires" not in query:
        return None
    return datetime.fromtimestamp(int(query["expires"]), tz=UTC)


def _cos(query: dict[str, str]) -> datetime | None:
    if "q-signature" not in query or "q-sign-time" not in query:
        return None
    return datetime.fromtimestamp(int(query["q-sign-time"].partition(";")[2]), tz=UTC)


def _azure(query: dict[str, str]) -> datetime | None:
    if "sig" not in query or "se" not in query:
        return None
    end = datetime.fromisoformat(query["se"])
    return end.astimezone(UTC) if end.tzinfo else end.replace(tzinfo=UTC)
