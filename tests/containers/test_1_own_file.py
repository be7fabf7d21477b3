"""A caller's own file: sent into the bucket, separated exactly, drawn; then it is gone there."""

import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from tests.containers.report import Report
from tests.containers.world import World, service_address
from tests.support.stems import exact_target, read, total
from tests.support.waiting import comes_true

from bench.audio_files import tones, write_audio
from splitjob_client import Client

RATE = 44100
SECONDS = 8.0
LOUD = 3.3  # of `tones`: so that a stem exceeds full scale, and a gain is needed
STEMS = ["drums", "bass", "other", "vocals", "residual"]
DRAWN = [*STEMS, "mixture"]
EXACT = {"clip_mode": "exact", "residual_to": "residual", "format": "flac", "bit_depth": 24}


@pytest.fixture
def client(world: World) -> Iterator[Client]:
    """The public client, as somebody uses it who trusts the cluster's authority."""
    trust = ssl.create_default_context(cafile=world.containers.service.trust)
    address = f"http://{service_address(world.kube, world.service)}"
    with (
        httpx.Client(verify=trust, trust_env=False, timeout=30) as http,
        Client(address, world.service.token, http=http) as client,
    ):
        yield client


def test_a_file_that_was_sent_comes_back_as_stems_that_sum_to_it(
    world: World, client: Client, report: Report, tmp_path: Path
) -> None:
    """Acceptance 28c, 83: with the worker's own image, on a kubelet."""
    sound = np.clip(LOUD * tones(RATE, SECONDS, 2), -1, 1)
    song = write_audio(tmp_path / "my song.wav", sound)
    address = client.upload(song)
    key = address.removeprefix(f"s3://{world.service.s3.bucket}/")
    bucket = world.service.s3.service()
    size = bucket.get_object_metadata(key)["size"]
    report.check("a file is sent into the bucket", song.stat().st_size, size)
    name = world.ask(address, waveforms=True, **EXACT)
    report.check("  its job", "Completed -> Completed", world.outcome(name))
    report.check("  final webhooks", 1, world.finals(name))
    told = world.final(name)
    report.check("  it lists the stems", STEMS, [stem["type"] for stem in told["stems"]])
    report.check("  and a waveform of each, and of the song", len(DRAWN), len(waveforms_of(told)))
    report.check("  their checksums are right", len(STEMS), world.good_stems(name))
    gains = {stem["gain"] for stem in told["stems"]}
    report.check("  one gain for all, below 1", (1, True), (len(gains), max(gains) < 1))
    files = [read(client.download(name, stem, tmp_path))[0] for stem in STEMS]
    wanted = exact_target(read(song)[0], gains.pop())
    report.check("  they sum to the song, exactly", True, np.array_equal(total(files), wanted))
    for one in DRAWN:
        report.check(f"  the waveform of {one}", (2, 800, 1600), drawn(client.waveform(name, one)))
    gone = comes_true(lambda: not bucket.file_exists(key), 60)
    report.check("  the file that was sent is gone", True, gone)


def waveforms_of(event: dict[str, Any]) -> set[str]:
    """Return the addresses of all waveforms that an event tells of."""
    return {one["waveform"] for one in [*event["stems"], event["audio"]] if one["waveform"]}


def drawn(waveform: bytes) -> tuple[int, int, int]:
    """Return of a waveform its version, its points and its values: a lowest and highest each."""
    found = json.loads(waveform)
    assert all(-128 <= value <= 127 for value in found["data"])
    return found["version"], found["length"], len(found["data"])
