"""Images as archives, and how containerd takes them."""

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import cast

import pytest

from splitjob_local.containers.archive import blobs_of, import_image, pause_image, write_archive
from splitjob_local.containers.containerd import Containerd
from splitjob_local.processes.supervised import ProcessError


def test_an_archive_says_what_an_image_is_called_and_made_of(tmp_path: Path) -> None:
    program = tmp_path / "pause"
    program.write_bytes(b"a program")
    manifest = pause_image(program, tmp_path)
    configuration, layer = blobs_of(manifest)
    written = io.BytesIO()
    write_archive(written, manifest, "localhost/pause:1")
    written.seek(0)
    with tarfile.open(fileobj=written) as archive:
        content = {one.name: archive.extractfile(one).read() for one in archive}  # type: ignore[union-attr]
    [described] = json.loads(content["index.json"])["manifests"]
    digest = hashlib.sha256(manifest).hexdigest()
    assert described["digest"] == f"sha256:{digest}"
    assert described["annotations"] == {"io.containerd.image.name": "localhost/pause:1"}
    assert content[f"blobs/sha256/{digest}"] == manifest
    for blob in (configuration, layer):
        kept = (tmp_path / blob.removeprefix("sha256:")).read_bytes()
        assert hashlib.sha256(kept).hexdigest() == blob.removeprefix("sha256:")


class Forgetful:
    """A store that collects a blob before the image that needs it is there."""

    def __init__(self, times: int) -> None:
        self.times = times
        self.held: set[str] = set()
        self.commands: list[tuple[str, ...]] = []

    def blobs(self) -> set[str]:
        return set(self.held)

    def take(self, digest: str, file: Path) -> None:
        assert file.exists()
        self.held.add(digest)

    def ctr(self, *arguments: str) -> str:
        self.commands.append(arguments)
        return ""

    def import_archive(self, archive: bytes) -> str:
        assert archive
        self.times -= 1
        if self.times < 0:
            return ""
        self.held.pop()
        return "content digest not found"


def test_a_blob_collected_before_its_image_is_there_is_given_again(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"ELF")
    manifest = pause_image(program, tmp_path)
    store = Forgetful(times=1)
    import_image(cast("Containerd", store), manifest, tmp_path, "localhost/pause:1")
    assert store.held == set(blobs_of(manifest))
    assert store.commands == []


def test_an_image_that_containerd_refuses_does_not_stay_half_there(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"ELF")
    store = Forgetful(times=99)
    with pytest.raises(ProcessError, match="localhost/pause:1: content digest not found"):
        import_image(
            cast("Containerd", store), pause_image(program, tmp_path), tmp_path, "localhost/pause:1"
        )
    assert store.commands == [("images", "remove", "localhost/pause:1")]
