"""What the worker's tests share: real S3 and HTTP servers, a small model, real audio."""

import json
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from tests.support.flaky_storage import Flaky
from tests.support.web import Web, answer, web_server
from tests.support.worker import Models, Worker

from bench.audio_files import tones, write_audio
from splitjob.models import dump_registry
from splitjob_io.storage import S3Service
from splitjob_local.cluster import s3server
from splitjob_worker.engine.describe import describe


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[s3server.S3Access]:
    """The S3 server that a local cluster has, by itself."""
    folder = tmp_path_factory.mktemp("s3")
    with s3server.serving(folder, lambda text: print(text, file=sys.__stderr__)) as access:
        yield access


@pytest.fixture
def storage(s3: s3server.S3Access) -> S3Service:
    """The bucket."""
    return s3.service()


@pytest.fixture
def web() -> Iterator[Web]:
    """A server of this test's own."""
    with web_server() as server:
        yield server


@pytest.fixture(scope="session")
def song(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Three seconds of stereo, as a wav file."""
    path = tmp_path_factory.mktemp("song") / "song.wav"
    return write_audio(path, tones(44100, 3.0, 2)).read_bytes()


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    """A small HTDemucs with random weights, in Demucs' own layout."""
    import torch  # noqa: PLC0415
    from demucs.htdemucs import HTDemucs  # noqa: PLC0415
    from safetensors.torch import save_file  # noqa: PLC0415

    folder = tmp_path_factory.mktemp("models")
    arguments: dict[str, Any] = {
        "sources": ["drums", "bass", "other", "vocals"],
        "channels": 8,
        "nfft": 1024,
        "t_layers": 1,
        "t_heads": 4,
        "samplerate": 44100,
    }
    torch.manual_seed(7)
    model = HTDemucs(**arguments, segment=Fraction(1))
    segment = {"_type": "fraction", "numerator": 1, "denominator": 1}
    save_file(
        {name: tensor.half() for name, tensor in model.state_dict().items()},
        folder / "tiny.safetensors",
        {
            "klass": "demucs.htdemucs.HTDemucs",
            "args": "[]",
            "kwargs": json.dumps({**arguments, "segment": segment}),
        },
    )
    (folder / "tiny.yaml").write_text("models: ['tiny']\n")
    record = describe("tiny", folder, "Random numbers.")
    registry = folder / "registry.yaml"
    missing = record.model_copy(update={"name": "elsewhere"})
    registry.write_text(dump_registry({"tiny": record, "elsewhere": missing}))
    return Models(folder, registry, record)


@pytest.fixture
def worker(s3: s3server.S3Access, web: Web, models: Models, tmp_path: Path) -> Worker:
    """Workers of this test; the receiver takes whatever is sent."""
    web.serve("/hooks", answer(204))
    return Worker(s3, web, models, tmp_path)


@pytest.fixture
def flaky(s3: s3server.S3Access) -> Iterator[tuple[Flaky, S3Service]]:
    """The S3 server behind a proxy that fails as it is told, and the bucket seen through it."""
    with web_server() as web:
        front = Flaky(web, s3)
        access = s3server.S3Access(web.url, s3.access_key_id, s3.secret_access_key, s3.bucket)
        yield front, access.service()
