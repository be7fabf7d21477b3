"""Building and inspecting images with buildah, podman or docker, whichever is installed."""

import json
import os
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from splitjob_local.paths import REPOSITORY

__all__ = ["PREFIX", "TARGETS", "Build", "Engine", "Image", "ImageError", "Target"]

ENGINES = ("buildah", "podman", "docker")
PREFIX = "track-tree-audio"  # of the images' names, as in the chart
BASE = "python:3.13-slim"  # as in the Dockerfiles
# The time stamp of images and of all files in them, so that the same sources make the same image.
EPOCH = "0"


class ImageError(Exception):
    """An image could not be built, read or stored; the message says why and what to do."""


@dataclass(frozen=True)
class Target:
    """One image: its Dockerfile and the stage in it."""

    name: str
    file: str
    stage: str


TARGETS = {
    "api": Target("api", "Dockerfile.operator", "api"),
    "operator": Target("operator", "Dockerfile.operator", "operator"),
    "worker": Target("worker", "Dockerfile.job", "worker"),
    "models": Target("models", "Dockerfile.job", "models"),
}


@dataclass(frozen=True)
class Build:
    """How images are built.

    Attributes:
        base: the base image; blank: the one in the Dockerfiles. A digest pins it.
        arguments: build arguments: `MODELS`, `TORCH_BACKEND`.
        options: more options of the engine's `build`, e.g. `--network=host`.
        root: the checkout.
        cached: whether the engine may use its cache of earlier steps.
        source: the address of the repository for the image's labels; blank: none.
    """

    base: str = ""
    arguments: Mapping[str, str] = field(default_factory=dict)
    options: Sequence[str] = ()
    root: Path = REPOSITORY
    cached: bool = True
    source: str = ""


@dataclass(frozen=True)
class Image:
    """The properties of an image.

    Attributes:
        id: digest of its configuration.
        layers: digests of the layers, uncompressed, from the bottom up.
        labels: OCI annotations.
        environment: variables and values.
        user: the user and group it runs as.
        command: what it runs.
    """

    id: str
    layers: tuple[str, ...]
    labels: Mapping[str, str]
    environment: Mapping[str, str]
    user: str
    command: tuple[str, ...]


@dataclass(frozen=True)
class Engine:
    """A container engine on this machine."""

    name: str

    @classmethod
    def find(cls, name: str = "") -> "Engine":
        """Return the engine of that name; without a name, the first that works.

        Raises:
            ImageError: none is installed, or none works.
        """
        for one in (name,) if name else ENGINES:
            if shutil.which(one) and _quiet([one, "info"]).returncode == 0:
                return cls(one)
        wanted = name or ", ".join(ENGINES)
        raise ImageError(f"{wanted}: not installed, or `info` fails there; install buildah, say")

    def run(self, *words: str, environment: Mapping[str, str] | None = None) -> None:
        """Run a command of the engine, with its output to this terminal."""
        done = subprocess.run([self.name, *words], check=False, env=environment)
        if done.returncode:
            raise ImageError(f"{self.name} {words[0]} failed with status {done.returncode}")

    def output(self, *words: str) -> str:
        """Return what a command of the engine prints."""
        done = _quiet([self.name, *words])
        if done.returncode:
            raise ImageError(f"{shlex.join([self.name, *words])}: {done.stderr.strip()}")
        return done.stdout

    def save_command(self, image: str, path: Path) -> list[str]:
        """Return the command that writes an image in Docker's archive format, uncompressed.

        Args:
            image: its name.
            path: a file, or a pipe.
        """
        if self.name == "buildah":
            return ["buildah", "push", "--quiet", image, f"docker-archive:{path}:{image}"]
        return [self.name, "save", "--output", str(path), image]

    def push(self, image: str) -> None:
        """Push an image to the registry in its name."""
        self.run("push", image)

    def copy_out(self, image: str, path: str, to: Path) -> None:
        """Copy a file or folder out of an image.

        Args:
            image: its name.
            path: an absolute path there.
            to: a path that does not exist yet.
        """
        if self.name == "buildah":
            container = self.output("from", "--pull-never", image).strip()
            try:
                inside = Path(self.output("mount", container).strip()) / path.lstrip("/")
                copy = shutil.copytree if inside.is_dir() else shutil.copyfile
                copy(inside, to)
            finally:
                self.output("rm", container)
            return
        container = self.output("create", image).strip()
        try:
            self.output("cp", f"{container}:{path}", str(to))
        finally:
            self.output("rm", container)


def build(engine: Engine, target: Target, tag: str, how: Build | None = None) -> None:
    """Build one image reproducibly: the same sources and base give the same layers.

    Args:
        engine: what builds it.
        target: one of `TARGETS`.
        tag: its name, with a tag.
        how: see `Build`.

    Raises:
        ImageError: the engine failed; its output went to the terminal.
    """
    how = how or Build()
    words = [*_command(engine), "--file", str(how.root / target.file), "--target", target.stage]
    words += ["--tag", tag, *([] if how.cached else ["--no-cache"])]
    arguments = {**({"BASE": how.base} if how.base else {}), **how.arguments}
    for name, value in arguments.items():
        words += ["--build-arg", f"{name}={value}"]
    for name, value in labels(how).items():
        words += ["--label", f"{name}={value}"]
        if engine.name != "docker":
            words += ["--annotation", f"{name}={value}"]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": EPOCH}
    engine.run(*words, *how.options, str(how.root), environment=environment)


def _command(engine: Engine) -> list[str]:
    if engine.name == "docker":
        return ["buildx", "build", "--output", "type=docker,rewrite-timestamp=true"]
    return ["build", "--layers", "--timestamp", EPOCH]


def labels(how: Build) -> dict[str, str]:
    """Return the OCI annotations that a Dockerfile cannot know; unknown ones are left out.

    Source: https://github.com/opencontainers/image-spec/blob/main/annotations.md
    """
    project = tomllib.loads((how.root / "pyproject.toml").read_text())["project"]
    name, _, digest = (how.base or BASE).partition("@")
    values = {
        "version": project["version"],
        "revision": revision(how.root),
        "source": how.source,
        "base.name": name,
        "base.digest": digest,
    }
    return {f"org.opencontainers.image.{key}": value for key, value in values.items() if value}


def revision(root: Path) -> str:
    """Return the commit of a checkout, with `-dirty` if files differ; blank without git."""
    commit = _quiet(["git", "-C", str(root), "rev-parse", "HEAD"])
    if commit.returncode:
        return ""
    changes = _quiet(["git", "-C", str(root), "status", "--porcelain"])
    return commit.stdout.strip() + ("-dirty" if changes.stdout.strip() else "")


def describe(engine: Engine, image: str) -> Image:
    """Return the properties of an image.

    Raises:
        ImageError: there is no such image.
    """
    if engine.name == "buildah":
        found: dict[str, Any] = json.loads(engine.output("inspect", "--type", "image", image))
        config, layers = found["OCIv1"]["config"], found["OCIv1"]["rootfs"]["diff_ids"]
        digest = f"sha256:{found['FromImageID']}"
    else:
        found = json.loads(engine.output("image", "inspect", image))[0]
        config, layers, digest = found["Config"], found["RootFS"]["Layers"], found["Id"]
    return Image(
        id=digest,
        layers=tuple(layers),
        labels=config.get("Labels") or {},
        environment=dict(one.split("=", 1) for one in config.get("Env") or ()),
        user=config.get("User", ""),
        command=tuple(config.get("Cmd") or ()),
    )


def _quiet(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, check=False, capture_output=True, text=True)
