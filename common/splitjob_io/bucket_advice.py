"""Which settings a bucket wants that refuses what is done without them: found by trying them.

A refusal says little (`403 AccessDenied`, `400 InvalidRequest`), and no two kinds of storage say it
alike. So what was refused is done again with one setting more, or two, until it works. Checksums
are not among them: one is always sent.
"""

import os
import ssl
from collections.abc import Callable, Mapping

import httpx

from splitjob.configuration import CHART_VALUES
from splitjob.storage_settings import StorageSettings
from splitjob_io.certificates import ExplainingSocket, certificate_problem
from splitjob_io.storage import BRIEF, S3Service, StorageError

__all__ = ["missing_settings", "refused_certificate", "spelled"]

Changes = Mapping[str, object]

_ENCRYPTIONS: tuple[Changes, ...] = ({"s3_sse": "AES256"}, {"s3_sse": "aws:kms"})
_PAYING: Changes = {"s3_requester_pays": True}
_TRIED: tuple[Changes, ...] = (
    {"s3_addressing_style": "virtual"},
    {"s3_addressing_style": "path"},
    *_ENCRYPTIONS,
    _PAYING,
    *({**_PAYING, **encryption} for encryption in _ENCRYPTIONS),
)


def missing_settings(storage: S3Service, attempt: Callable[[S3Service], None]) -> Changes | None:
    """Return the settings with which something works that was refused; None: none of these.

    Args:
        storage: the bucket, as it is set up.
        attempt: does it once more; it may leave objects behind.
    """
    for changes in _TRIED:
        if not _adds(changes, storage.settings):
            continue
        changed = storage.settings.model_copy(update=dict(changes))
        try:
            attempt(S3Service(changed, storage.bucket, patience=BRIEF))
        except StorageError:
            continue
        return changes
    return None


def refused_certificate(endpoint: str) -> str:
    """Return what is wrong with the certificate of an endpoint, and which one it is.

    Args:
        endpoint: a URL; blank: AWS, which has nothing wrong.

    Returns:
        A clause; blank where it is not the certificate.
    """
    if not endpoint.startswith("https://"):
        return ""
    context = ssl.create_default_context(cafile=os.environ.get("AWS_CA_BUNDLE") or None)
    context.sslsocket_class = ExplainingSocket
    try:
        httpx.get(endpoint, verify=context)
    except httpx.HTTPError as error:
        return certificate_problem(error, error.request.url.host)
    return ""


def spelled(changes: Changes) -> str:
    """Return settings as one sets them, each with the value of the chart that it is."""
    return " and ".join(
        f"{name.upper()}={str(value).lower() if value is True else value} "
        f"(chart value {CHART_VALUES[name.upper()]})"
        for name, value in changes.items()
    )


def _adds(changes: Changes, settings: StorageSettings) -> bool:
    """Return whether all of these settings are at their defaults: what was chosen stays."""
    fields = StorageSettings.model_fields
    return all(getattr(settings, name) == fields[name].default for name in changes)
