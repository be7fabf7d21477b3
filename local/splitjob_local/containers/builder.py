"""Building images with buildah, podman or docker, whichever is there."""

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from splitjob_local.containers.requirements import BUILDERS, RequirementError
from splitjob_local.processes import ProcessError

# What lets pip and uv of a build find packages where this machine does.
CERTIFICATES = Path("/etc/ssl/certs")
PIP_CONFIGURATION = Path("/etc/pip.conf")
UV_CONFIGURATION = "system-certs = true\n"
LAST_LINES = 25


@dataclass(frozen=True)
class Builder:
    """One of the programs that build images.

    Attributes:
        program: `buildah`, `podman` or `docker`.
        folder: for its logs and what it exports.
    """

    program: str
    folder: Path

    @classmethod
    def find(cls, folder: Path) -> "Builder":
        """Return the first builder that works here.

        Raises:
            RequirementError: none does.
        """
        for program in BUILDERS:
            if shutil.which(program) and _answers(program):
                folder.mkdir(parents=True, exist_ok=True)
                return cls(program, folder)
        raise RequirementError(
            "none of buildah, podman and docker works here. On Debian and Ubuntu:\n"
            "  apt install buildah"
        )

    def image_id(self, image: str) -> str | None:
        """Return the id of an image in the builder's store, or None where it is not."""
        if self.program == "buildah":
            command = ["buildah", "inspect", "--type=image", "--format={{.FromImageID}}", image]
        else:
            command = [self.program, "image", "inspect", "--format={{.Id}}", image]
        answer = subprocess.run(command, check=False, capture_output=True, text=True)
        return answer.stdout.strip().removeprefix("sha256:") if answer.returncode == 0 else None

    def pull(self, image: str, seconds: float) -> bool:
        """Try to fetch an image from its registry; returns whether it is there now."""
        command = [self.program, "pull", image]
        try:
            answer = subprocess.run(command, check=False, capture_output=True, timeout=seconds)
        except subprocess.TimeoutExpired:
            return False
        return answer.returncode == 0

    def build(
        self,
        tag: str,
        context: Path,
        dockerfile: Path,
        target: str = "",
        arguments: Mapping[str, str] | None = None,
    ) -> None:
        """Build an image.

        Raises:
            ProcessError: it failed; with the end of what the builder said.
        """
        given = [f"--build-arg={name}={value}" for name, value in (arguments or {}).items()]
        stage = [f"--target={target}"] if target else []
        command = [
            self.program,
            "build",
            *self._build_options(),
            f"--file={dockerfile}",
            *stage,
            *given,
            f"--tag={tag}",
            str(context),
        ]
        self._run_logged(f"build-{target or dockerfile.suffix[1:]}", command)

    def _build_options(self) -> Sequence[str]:
        if self.program == "docker":
            return ["--network=host"]
        # Newer certificates and a mirror of the package index, where this machine has them.
        uv = self.folder / "uv.toml"
        uv.write_text(UV_CONFIGURATION)
        mounts = [f"--volume={uv}:/etc/uv/uv.toml:ro"]
        ours = [path for path in (CERTIFICATES, PIP_CONFIGURATION) if path.exists()]
        mounts += [f"--volume={path}:{path}:ro" for path in ours]
        isolation = ["--isolation=chroot"] if self.program == "buildah" else []
        return ["--pull=never", "--network=host", "--layers", *isolation, *mounts]

    def export(self, image: str, folder: Path) -> Path:
        """Write an image's manifest, configuration and layers into a folder, uncompressed.

        Each lies there under its SHA-256; what is there already is not written again.

        Returns:
            The manifest.

        Raises:
            ProcessError: it failed.
        """
        folder.mkdir(parents=True, exist_ok=True)
        if self.program == "docker":
            self._export_with_docker(image, folder)
        else:
            plain = ["--disable-compression"] if self.program == "buildah" else []
            command = [self.program, "push", "--quiet", "--format=oci", *plain]
            self._run_logged("export", [*command, image, f"dir:{folder}"])
        return folder / "manifest.json"

    def _export_with_docker(self, image: str, folder: Path) -> None:
        archive = folder / "saved"
        shutil.rmtree(archive, ignore_errors=True)
        archive.mkdir()
        tar = folder / "saved.tar"
        self._run_logged("export", ["docker", "save", "--output", str(tar), image])
        shutil.unpack_archive(tar, archive, filter="data")
        tar.unlink()
        index = json.loads((archive / "index.json").read_text())
        for blob in (archive / "blobs" / "sha256").iterdir():
            blob.replace(folder / blob.name)
        digest = index["manifests"][0]["digest"].partition(":")[2]
        (folder / digest).replace(folder / "manifest.json")
        shutil.rmtree(archive)

    def _run_logged(self, name: str, command: Sequence[str]) -> None:
        log = self.folder / f"{name}.log"
        with log.open("w") as output:
            answer = subprocess.run(
                command, check=False, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        if answer.returncode != 0:
            last = "\n".join(log.read_text(errors="replace").splitlines()[-LAST_LINES:])
            raise ProcessError(f"{' '.join(command[:2])} failed ({log}):\n{last}")


def _answers(program: str) -> bool:
    """Whether a builder can be asked for its images: docker is a client of something else."""
    answer = subprocess.run([program, "images", "--quiet"], check=False, capture_output=True)
    return answer.returncode == 0
