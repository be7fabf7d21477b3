"""The boto3 client of a bucket: how it signs, what it finds its keys with, how long it waits.

Signature version 4 always (botocore would presign with version 2 for custom endpoints in
us-east-1), Content-MD5 in the place of botocore's own checksums (`splitjob_io.bucket_demands`),
path-style addresses for custom endpoints.
"""

import os
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import boto3
import botocore.session
from botocore.config import Config
from botocore.loaders import Loader

from splitjob.egress import EgressProxies
from splitjob.storage_settings import StorageSettings
from splitjob.urls import DEFAULT_PORTS
from splitjob_io import bucket_demands

__all__ = ["BRIEF", "PATIENT", "Patience", "new_client"]

DESCRIPTIONS = Loader()  # of S3, for all clients of this process: a tenth of a second to read


class Patience(NamedTuple):
    """How long a storage that does not answer is waited for.

    Attributes:
        attempts: at each request.
        silent_seconds: without a byte, after which an attempt is given up.
    """

    attempts: int
    silent_seconds: float


PATIENT = Patience(5, 60)  # outlasts most outages of a storage
BRIEF = Patience(2, 10)  # where somebody waits, or other work does


def new_client(settings: StorageSettings, patience: Patience) -> Any:  # noqa: ANN401 - of boto3's making
    """Return a boto3 client for S3, which meets what the bucket demands of each request.

    Args:
        settings: where the storage is, and the keys to it, if not those of the standard chain.
        patience: with a storage that does not answer.
    """
    style = settings.s3_addressing_style
    if style == "auto" and settings.s3_endpoint:
        style = "path"
    client = _session().client(
        "s3",
        endpoint_url=settings.s3_endpoint or None,
        region_name=settings.s3_region,
        aws_access_key_id=settings.s3_access_key_id or None,
        aws_secret_access_key=settings.s3_secret_access_key.get_secret_value() or None,
        config=Config(
            signature_version="s3v4",
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            retries={"total_max_attempts": patience.attempts, "mode": "standard"},
            connect_timeout=5,
            read_timeout=patience.silent_seconds,
            max_pool_connections=16,
            s3={"addressing_style": style},
            proxies={} if _is_direct(settings.s3_endpoint) else None,
        ),
    )
    bucket_demands.attach(client, settings)
    return client


def _session() -> boto3.session.Session:
    """Return a new session, which looks for keys itself; the descriptions are shared."""
    session = botocore.session.get_session()
    session.register_component("data_loader", DESCRIPTIONS)
    return boto3.session.Session(botocore_session=session)


def _is_direct(endpoint: str) -> bool:
    """Return whether NO_PROXY exempts an endpoint: botocore's own reading knows no networks."""
    if not endpoint:
        return False
    place = urlsplit(endpoint)
    port = place.port or DEFAULT_PORTS[place.scheme]
    proxies = EgressProxies.from_environment(os.environ)
    return proxies.leading_to(place.scheme, place.hostname or "", port) is None
