"""`track-tree-audio weights fetch`, against a server of the Hugging Face hub's layout."""

import errno
import hashlib
import os
import subprocess
import sys
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from tests.support.web import Web
from tests.support.worker import Models

from splitjob.models import ModelFile, dump_registry, load_registry
from splitjob_worker.cli import weights as weights_cli


@pytest.fixture
def registry(models: Models, tmp_path: Path) -> Path:
    """A registry whose `htdemucs` is the small model, without a known digest."""
    file = ModelFile(name="tiny.safetensors")
    record = models.record.model_copy(update={"name": "htdemucs", "files": (file,)})
    path = tmp_path / "registry.yaml"
    path.write_text(dump_registry({"htdemucs": record}))
    return path


def publish(web: Web, name: str, content: bytes) -> None:
    """Serve one file as the hub does."""

    def handle(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("X-Repo-Commit", "1" * 40)
        request.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        if request.command == "GET":
            request.wfile.write(content)

    web.serve(f"/adefossez/HTDemucs/resolve/main/{name}", handle)


def weights_command(web: Web, folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "HF_ENDPOINT": web.url,
        "HF_HOME": str(folder / "hub"),
        "HF_HUB_DISABLE_XET": "1",
    }
    program = "import sys; from track_tree_audio.main import main; sys.exit(main(sys.argv[1:]))"
    return subprocess.run(
        [sys.executable, "-c", program, "weights", *words],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_weights_are_fetched_and_pinned(
    web: Web, models: Models, registry: Path, tmp_path: Path
) -> None:
    publish(web, "htdemucs.yaml", b"models: ['tiny']\n")
    publish(web, "tiny.safetensors", (models.folder / "tiny.safetensors").read_bytes())
    where = ["--registry", str(registry), "--to", str(tmp_path / "weights")]
    done = weights_command(web, tmp_path, "fetch", "htdemucs", *where)
    assert done.returncode == 0, done.stderr
    pins = (tmp_path / "weights" / "htdemucs.sha256").read_text()
    assert pins == f"{models.record.files[0].sha256}  tiny.safetensors\n"
    checked = weights_command(web, tmp_path, "verify", *where)
    assert "as pinned" in checked.stdout

    spoilt = tmp_path / "weights" / "tiny.safetensors"
    spoilt.write_bytes(spoilt.read_bytes() + b"x")
    checked = weights_command(web, tmp_path, "verify", "htdemucs", *where)
    assert checked.returncode == 1
    assert "damaged or another one" in checked.stderr


def test_what_cannot_be_fetched_is_named_with_its_place(
    web: Web, registry: Path, tmp_path: Path
) -> None:
    publish(web, "htdemucs.yaml", b"models: ['tiny']\n")
    place = tmp_path / "weights"
    where = ["--registry", str(registry), "--to", str(place)]
    done = weights_command(web, tmp_path, "fetch", "htdemucs", *where)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("weights: tiny.safetensors cannot be fetched")
    assert str(place) in last


def test_a_full_disk_leaves_no_short_weights(
    models: Models,
    registry: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What was there before stays as it was."""

    def fill_up(_source: Path, target: Path) -> None:
        target.write_bytes(b"short")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    place = tmp_path / "weights"
    place.mkdir()
    for name in ("htdemucs.yaml", "tiny.safetensors"):
        (place / name).write_text("as before")
    monkeypatch.setattr(weights_cli, "_download", lambda *_: models.folder / "tiny.safetensors")
    monkeypatch.setattr("shutil.copyfile", fill_up)
    words = ["fetch", "htdemucs", "--registry", str(registry), "--to", str(place)]
    assert weights_cli.main(words) == 1
    assert capsys.readouterr().err == f"weights: cannot write to {place}: No space left on device\n"
    assert {one.name: one.read_text() for one in place.iterdir()} == {
        "htdemucs.yaml": "as before",
        "tiny.safetensors": "as before",
    }


def test_every_published_model_has_a_place_on_the_hub() -> None:
    """Demucs' own rule for the hub's names, so that the records here fit it."""
    from demucs.hf import hf_repo_name  # noqa: PLC0415

    names = {name: hf_repo_name(name) for name in load_registry() if name != "demo"}
    assert names["htdemucs_ft"] == "HTDemucs-ft"
    assert names["hdemucs_mmi"] == "Demucs-hdemucs_mmi"
