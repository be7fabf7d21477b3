"""Stems without keys to the bucket, and gone on request, from the service as it is installed."""

import hashlib
import json
from pathlib import Path

import httpx
import numpy as np
import pytest
from tests.support.stems import read, total
from tests.support.waiting import eventually
from tests.support.whole_path import WholePath

from splitjob_client import Client, GoneError

STEMS = ("drums", "bass", "other", "vocals", "residual")
EXACT = {"clip_mode": "exact", "bit_depth": 24, "residual_to": "residual"}


def test_stems_are_downloaded_then_erased_and_their_urls_end(
    path: WholePath, tmp_path: Path
) -> None:
    """Acceptance 74, 83: all of them add up to the song first."""
    job_id = path.ask(path.song_url(), waveforms=True, **EXACT)
    path.wait(job_id)
    with Client(path.service.api_urls()[0], path.service.token) as client:
        job = client.job(job_id)
        assert job.result
        assert tuple(stem.type for stem in job.result.stems) == STEMS
        for stem in job.result.stems:
            fetched = client.download(job, stem.type, tmp_path).read_bytes()
            assert stem.checksum == f"sha256:{hashlib.sha256(fetched).hexdigest()}"
        assert {stem.gain for stem in job.result.stems} == {1.0}
        (song := tmp_path / "song").write_bytes(path.song)
        samples = [read(tmp_path / f"{stem}.wav")[0] for stem in STEMS]
        assert np.array_equal(total(samples), read(song)[0])
        assert job.result.waveforms == [*STEMS, "mixture"]
        checksums = client.manifest(job_id).decode()
        for name in job.result.waveforms:
            drawn = client.waveform(job_id, name)
            assert json.loads(drawn)["version"] == 2
            assert hashlib.sha256(drawn).hexdigest() in checksums
        url = client.stem_url(job_id, "vocals").url
        assert httpx.get(url).is_success
        client.erase(job_id)
        erased = eventually(lambda: client.job(job_id).erased)
        assert erased
        assert erased.objects == 2 * len(STEMS) + len(["mixture", "manifest"])
        assert httpx.get(url).status_code == 404
        with pytest.raises(GoneError):
            client.waveform(job_id, "mixture")
        with pytest.raises(GoneError) as refused:
            client.stem_url(job_id, "vocals")
        assert refused.value.code == "erased"
        assert client.job(job_id).state == "completed"
