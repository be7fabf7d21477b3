"""When a presigned URL expires, read from the URL itself.

Sources: AWS Signature Version 4 query parameters (`X-Amz-Date`, `X-Amz-Expires`; R2 and other
S3 servers use the same), its version 2 (`Expires`), Google Cloud Storage's V4 (`X-Goog-Date`,
`X-Goog-Expires`), and Azure's shared access signatures (`se`).
"""

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlsplit

_V4_DATE = "%Y%m%dT%H%M%SZ"
_MAX_FIELDS = 100


def expiry(url: str) -> datetime | None:
    """Return when a presigned URL ceases to work.

    Args:
        url: the whole URL.

    Returns:
        An aware time in UTC, or None where the URL is not presigned or does not say it plainly.
    """
    try:
        pairs = parse_qsl(urlsplit(url).query, max_num_fields=_MAX_FIELDS)
        query = {name.lower(): value for name, value in pairs}
        return _v4(query, "x-amz") or _v4(query, "x-goog") or _v2(query) or _azure(query)
    except (ValueError, OverflowError, OSError):
        return None


def _v4(query: dict[str, str], vendor: str) -> datetime | None:
    signed_at, seconds = query.get(f"{vendor}-date"), query.get(f"{vendor}-expires")
    if signed_at is None or seconds is None:
        return None
    began = datetime.strptime(signed_at, _V4_DATE).replace(tzinfo=UTC)
    return began + timedelta(seconds=int(seconds))


def _v2(query: dict[str, str]) -> datetime | None:
    if "signature" not in query or "expires" not in query:
        return None
    return datetime.fromtimestamp(int(query["expires"]), tz=UTC)


def _azure(query: dict[str, str]) -> datetime | None:
    if "sig" not in query or "se" not in query:
        return None
    end = datetime.fromisoformat(query["se"])
    return end.astimezone(UTC) if end.tzinfo else end.replace(tzinfo=UTC)
