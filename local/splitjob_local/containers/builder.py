"""Building images with buildah, podman or docker, whichever is installed, and exporting them."""

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from splitjob_local.containers.requirements import RequirementError
from splitjob_local.images.engine import (
    Build,
    Engine,
    ImageError,
    Target,
    build,
    describe,
)

# Lets pip and uv inside a build use this machine's certificates and package index.
CERTIFICATES = Path("/etc/ssl/certs")
PIP_CONFIGURATION = Path("/etc/pip.conf")
UV_CONFIGURATION = "system-certs = true\n"
LAST_LINES = 25


@dataclass(frozen=True)
class QuietEngine(Engine):
    """A container engine that logs to a file: standard output belongs to the command's answer."""

    log: Path = field(kw_only=True)

    def run(self, *words: str, environment: Mapping[str, str] | None = None) -> None:
        """Run a command of the engine.

        Raises:
            ImageError: it failed; with the end of what it said.
        """
        command = [self.name, *words]
        with self.log.open("w") as output:
            answer = subprocess.run(
                command,
                check=False,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        if answer.returncode != 0:
            last = "\n".join(self.log.read_text(errors="replace").splitlines()[-LAST_LINES:])
            raise ImageError(f"{' '.join(command[:2])} failed ({self.log}):\n{last}")


@dataclass(frozen=True)
class Builder:
    """Builds and exports images; the engine's output goes to a log.

    Attributes:
        engine: runs the builds.
        folder: for the log and temporary files of a build.
    """

    engine: QuietEngine
    folder: Path

    @classmethod
    def find(cls, folder: Path) -> "Builder":
        """Return a builder with the first engine that works here.

        Raises:
            RequirementError: none does.
        """
        folder.mkdir(parents=True, exist_ok=True)
        try:
            name = Engine.find().name
        except ImageError as error:
            raise RequirementError(
                f"{error}. On Debian and Ubuntu:\n  apt install buildah"
            ) from None
        return cls(QuietEngine(name, log=folder / "build.log"), folder)

    @property
    def program(self) -> str:
        """The engine's command."""
        return self.engine.name

    def image_id(self, image: str) -> str | None:
        """Return the id of an image in the engine's store, or None where it is not."""
        try:
            return describe(self.engine, image).id.removeprefix("sha256:")
        except ImageError:
            return None

    def pull(self, image: str, seconds: float) -> bool:
        """Try to fetch an image from its registry; returns whether it is there now."""
        command = [self.program, "pull", image]
        try:
            answer = subprocess.run(command, check=False, capture_output=True, timeout=seconds)
        except subprocess.TimeoutExpired:
            return False
        return answer.returncode == 0

    def build(self, target: Target, tag: str, how: Build) -> None:
        """Build an image, with this machine's certificates and package index.

        Raises:
            ImageError: it failed; with the end of what the engine said.
        """
        build(self.engine, target, tag, replace(how, options=self._options()))

    def build_plain(self, dockerfile: Path, tag: str) -> None:
        """Build an image from a Dockerfile and the folder it is in.

        Raises:
            ImageError: it failed; with the end of what the engine said.
        """
        folder = dockerfile.parent
        self.engine.run("build", "--file", str(dockerfile), "--tag", tag, str(folder))

    def _options(self) -> Sequence[str]:
        if self.program == "docker":
            return ["--network=host"]
        # This machine may have newer certificates and a mirror of the package index.
        uv = self.folder / "uv.toml"
        uv.write_text(UV_CONFIGURATION)
        mounts = [f"--volume={uv}:/etc/uv/uv.toml:ro"]
        ours = [path for path in (CERTIFICATES, PIP_CONFIGURATION) if path.exists()]
        mounts += [f"--volume={path}:{path}:ro" for path in ours]
        isolation = ["--isolation=chroot"] if self.program == "buildah" else []
        return ["--pull=never", "--network=host", *isolation, *mounts]

    def export(self, image: str, folder: Path) -> Path:
        """Write an image's manifest, configuration and layers into a folder, uncompressed.

        Each file is named by its SHA-256; existing files are not written again.

        Returns:
            The manifest.

        Raises:
            ImageError: it failed; with the end of what the engine said.
        """
        folder.mkdir(parents=True, exist_ok=True)
        if self.program == "docker":
            self._export_with_docker(image, folder)
        else:
            plain = ["--disable-compression"] if self.program == "buildah" else []
            self.engine.run("push", "--quiet", "--format=oci", *plain, image, f"dir:{folder}")
        return folder / "manifest.json"

    def _export_with_docker(self, image: str, folder: Path) -> None:
        archive = folder / "saved"
        shutil.rmtree(archive, ignore_errors=True)
        archive.mkdir()
        tar = folder / "saved.tar"
        self.engine.run("save", "--output", str(tar), image)
        shutil.unpack_archive(tar, archive, filter="data")
        tar.unlink()
        index = json.loads((archive / "index.json").read_text())
        for blob in (archive / "blobs" / "sha256").iterdir():
            blob.replace(folder / blob.name)
        digest = index["manifests"][0]["digest"].partition(":")[2]
        (folder / digest).replace(folder / "manifest.json")
        shutil.rmtree(archive)
