"""Tools for the tests of downloads: with limits for servers that are near."""

from pathlib import Path
from typing import Any

import pytest

from splitjob.addresses import parse_networks
from splitjob.egress import Egress
from splitjob.errors import Failure
from splitjob_worker.source.fetch import Download, DownloadLimits

FAST = DownloadLimits(max_bytes=1 << 20, first_wait=0.01, idle_seconds=2.0)
CONTENT = bytes(range(256)) * 400


def download(url: str, target: Path, limits: DownloadLimits = FAST, **options: Any) -> int:
    usual = {"egress": Egress(parse_networks("127.0.0.0/8")), "allow_http": True}
    return Download(url, target, limits, **{**usual, **options}).run()


def refused(url: str, target: Path, limits: DownloadLimits = FAST, **options: Any) -> Failure:
    """Download what must not come; nothing of the URL's secret may be told."""
    with pytest.raises(Failure) as caught:
        download(url, target, limits, **options)
    assert "do-not-tell" not in caught.value.message
    return caught.value
