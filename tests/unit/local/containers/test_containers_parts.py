"""What a node that runs containers is made of, as far as no container is needed to see it."""

import hashlib
import io
import json
import os
import struct
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import cast

import pytest

from splitjob_local.containers.archive import blobs_of, import_image, pause_image, write_archive
from splitjob_local.containers.base import debian_mirror
from splitjob_local.containers.cgroups import make_cgroups, remove_cgroups
from splitjob_local.containers.containerd import Containerd
from splitjob_local.containers.dns import MalformedError, answer, question
from splitjob_local.containers.inputs import (
    ImageSource,
    context_files,
    copied_paths,
    inputs_hash,
    is_ignored,
)
from splitjob_local.containers.node_binaries import kubernetes_version, node_programs_folder
from splitjob_local.containers.requirements import (
    RequirementError,
    check_requirements,
    missing_packages,
)
from splitjob_local.images.engine import Target
from splitjob_local.processes.supervised import ProcessError
from splitjob_local.programs.versions import KUBERNETES, pinned_versions

DOCKERFILE = """ARG BASE=python:3.13-slim
FROM ${BASE} AS build
COPY pyproject.toml \\
  common/ ./
COPY --from=build --chmod=755 /opt /opt
RUN --mount=type=bind,source=tools/recipe.py,target=/recipe.py --mount=type=cache,target=/c true
"""
RULES = ["*", "!pyproject.toml", "!common", "!tools", "**/__pycache__", "# a comment", ""]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name in ("pyproject.toml", "common/a.py", "common/__pycache__/a.pyc", "tools/recipe.py"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
    (tmp_path / "secret.txt").write_text("not for an image")
    (tmp_path / "Dockerfile.x").write_text(DOCKERFILE)
    (tmp_path / ".dockerignore").write_text("\n".join(RULES))
    return tmp_path


def test_what_a_dockerfile_takes_from_the_checkout() -> None:
    assert copied_paths(DOCKERFILE) == ["pyproject.toml", "common", "tools/recipe.py"]
    assert copied_paths("COPY . .") == ["."]


@pytest.mark.parametrize(
    ("path", "ignored"),
    [
        ("pyproject.toml", False),
        ("common/deep/a.py", False),
        ("common/deep/__pycache__/a.pyc", True),
        ("secret.txt", True),
        ("docs/pyproject.toml", True),
    ],
)
def test_dockerignore_is_read_as_builders_read_it(path: str, ignored: bool) -> None:
    assert is_ignored(path, RULES) == ignored


def test_only_what_is_copied_and_not_ignored_counts(checkout: Path) -> None:
    names = [file.relative_to(checkout).as_posix() for file in context_files(checkout, DOCKERFILE)]
    assert names == ["common/a.py", "pyproject.toml", "tools/recipe.py"]


def test_an_image_is_the_same_until_one_of_its_inputs_changes(checkout: Path) -> None:
    source = ImageSource(Target("x", "Dockerfile.x", "build"))
    first = inputs_hash(checkout, source, "one")
    (checkout / "secret.txt").write_text("changed")
    assert inputs_hash(checkout, source, "one") == first
    assert inputs_hash(checkout, source, "two") != first
    (checkout / "common" / "a.py").chmod(0o755)
    changed = inputs_hash(checkout, source, "one")
    assert changed != first
    (checkout / "common" / "a.py").write_text("changed")
    assert inputs_hash(checkout, source, "one") not in {first, changed}


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

    def import_archive(self) -> subprocess.Popen[bytes]:
        self.times -= 1
        if self.times >= 0:
            self.held.pop()
        script = "cat > /dev/null; echo content digest not found; exit 1"
        return subprocess.Popen(
            ["sh", "-c", script if self.times >= 0 else "cat > /dev/null"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )


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


def query(name: str, kind: int = 1) -> bytes:
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    return b"\x12\x34\x01\x00\x00\x01" + bytes(6) + labels + b"\x00" + struct.pack(">HH", kind, 1)


def test_names_of_services_are_answered_and_others_do_not_exist() -> None:
    names = {"api.audio.svc.cluster.local": "10.96.0.7"}
    found = answer(query("API.audio.svc.cluster.local"), names)
    assert found[:2] == b"\x12\x34"
    assert found.endswith(b"\x00\x04\x0a\x60\x00\x07")
    no_ipv6 = answer(query("api.audio.svc.cluster.local", kind=28), names)
    assert (no_ipv6[3] & 0xF, no_ipv6[7]) == (0, 0), "it exists, without such an address"
    unknown = answer(query("example.com"), names)
    assert unknown[3] & 0xF == 3, "NXDOMAIN"


@pytest.mark.parametrize("length", [0, 12, 14, 20])
def test_a_query_cut_short_is_refused(length: int) -> None:
    with pytest.raises(MalformedError):
        question(query("api.audio")[:length])


def test_missing_programs_are_named_by_their_packages() -> None:
    assert missing_packages(lambda _program: "/usr/bin/it", has_cni_plugins=True) == []
    missing = missing_packages(lambda _program: None, has_cni_plugins=False)
    assert {"buildah", "containerd", "containernetworking-plugins", "runc"} <= set(missing)
    assert len(missing) == len(set(missing))


def test_without_root_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(RequirementError, match="root"):
        check_requirements()
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(RequirementError, match="Linux"):
        check_requirements()


@pytest.mark.parametrize(
    ("sources", "mirror"),
    [
        ("Types: deb\nURIs: http://mirror.example/debian\nSuites: trixie", "http://mirror.example/debian"),
        ("# old\ndeb [signed-by=/x] http://other.example/debian trixie main", "http://other.example/debian"),
        ("deb http://third.example/debian trixie main", "http://third.example/debian"),
        ("", None),
    ],
)  # fmt: skip
def test_debian_comes_from_where_apt_gets_it(sources: str, mirror: str | None) -> None:
    assert debian_mirror(sources) == mirror


def test_control_groups_of_version_1_are_made_in_every_tree_and_removed(tmp_path: Path) -> None:
    for tree in ("cpuset", "memory"):
        (tmp_path / tree).mkdir()
        (tmp_path / tree / "cgroup.procs").touch()
    (tmp_path / "notes").mkdir()
    make_cgroups("/ours", tmp_path)
    (tmp_path / "memory" / "ours" / "pod" / "container").mkdir(parents=True)
    assert (tmp_path / "cpuset" / "ours").is_dir()
    assert not (tmp_path / "notes" / "ours").exists()
    remove_cgroups("/ours", tmp_path)
    assert [path.name for path in tmp_path.rglob("ours")] == []


def test_the_node_is_of_the_same_version_as_the_control_plane() -> None:
    assert kubernetes_version() == pinned_versions()[KUBERNETES]
    assert kubernetes_version() in node_programs_folder().name
