"""Probes: how often one must fail or succeed."""

import asyncio

import pytest

from splitjob_kubelet.containers.probes import ProbeError, follow


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.anyio
async def test_probe_thresholds() -> None:
    results = iter([True, False, False, True, True, False])
    seen: list[bool | str] = []

    async def perform() -> None:
        result = next(results, None)
        if result is None:
            raise asyncio.CancelledError
        if not result:
            raise ProbeError("no")

    probe = {"periodSeconds": 0, "failureThreshold": 2, "successThreshold": 2}
    with pytest.raises(asyncio.CancelledError):
        await follow(probe, perform, seen.append, seen.append)

    assert seen == ["no", "no", False, True, "no"]
