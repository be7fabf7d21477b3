"""A worker's settings: read from the environment, and its URLs from the Secret."""

import json
from pathlib import Path

import pytest

from splitjob.errors import ErrorCode, Failure
from splitjob.spec import Location, Upload
from splitjob_worker import settings

REQUEST = {
    "versionId": "v",
    "model": "demo",
    "source": {"url": "https://example.com/song", "secretKey": "source"},
    "webhook": {"url": "https://example.com/hook"},
}


ENVIRONMENT = {
    "JOB_ID": "job",
    "JOB_UID": "uid",
    "SPLIT_REQUEST": json.dumps(REQUEST),
    "SCRATCH_DIR": "/scratch",
    "DEMUCSSVC_TOKEN": "do-not-tell",
    "ENVIRONMENT": "prod",
}


def test_settings_are_read_from_their_names() -> None:
    loaded = settings.load(
        {**ENVIRONMENT, "SOURCE_ALLOWED_NETWORKS": "10.0.0.0/8, ::1/128", "MAX_AUDIO_SECONDS": ""}
    )
    assert loaded.request.webhook.events == ["completed", "failed", "canceled"]
    assert len(loaded.allowed_networks) == 2
    assert loaded.max_audio_seconds == 3600
    assert loaded.earlier_seconds == 0
    assert not loaded.local
    assert "do-not-tell" not in repr(loaded)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SPLIT_REQUEST", "{"),
        ("SPLIT_REQUEST", '{"versionId": "../x"}'),
        ("DEVICE", "tpu"),
        ("ATTEMPT", "first"),
        ("EARLIER_SECONDS", "-1"),
        ("EARLIER_SECONDS", "inf"),
        ("SOURCE_ALLOWED_NETWORKS", "10.0.0.300"),
        ("JOB_ID", ""),
    ],
)
def test_settings_that_are_wrong_are_named_but_not_shown(name: str, value: str) -> None:
    with pytest.raises(Failure, match=name) as caught:
        settings.load({**ENVIRONMENT, name: value})
    assert caught.value.code is ErrorCode.WORKER_CONFIG
    assert not value or value not in caught.value.message


def test_a_url_comes_whole_from_the_secret(tmp_path: Path) -> None:
    loaded = settings.load({**ENVIRONMENT, "REQUEST_SECRET_DIR": str(tmp_path)})
    (tmp_path / "source").write_text("https://example.com/song?sig=1\n")
    assert loaded.url_of(loaded.request.source) == "https://example.com/song?sig=1"
    assert loaded.url_of(loaded.request.webhook) == "https://example.com/hook"
    with pytest.raises(Failure, match="'other'"):
        loaded.url_of(Location(url="https://example.com/x", secret_key="other"))


def test_headers_come_from_the_secret(tmp_path: Path) -> None:
    loaded = settings.load({**ENVIRONMENT, "REQUEST_SECRET_DIR": str(tmp_path)})
    plain = Upload(url="https://example.com/x")
    assert loaded.headers_of("vocals", plain) == {}
    asked = Upload(url="https://example.com/x", headers=["x-key"])
    (tmp_path / "headers.vocals").write_text('{"x-key": "do-not-tell"}')
    assert loaded.headers_of("vocals", asked) == {"x-key": "do-not-tell"}
    (tmp_path / "headers.bass").write_text("do-not-tell")
    for name in ("bass", "drums"):
        with pytest.raises(Failure, match=f"headers.{name}") as caught:
            loaded.headers_of(name, asked)
        assert caught.value.code is ErrorCode.WORKER_CONFIG
        assert "do-not-tell" not in caught.value.message
