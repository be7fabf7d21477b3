"""Downloads of the official releases of the control plane and the S3 server.

Every file is checked against the checksum that its publisher provides. All checksums are fetched
first: they are small, so that a machine that cannot reach a publisher finds out within seconds and
not after the first hundred megabytes.
"""

import hashlib
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import httpx

from splitjob_local.console import Say
from splitjob_local.programs.versions import (
    ETCD,
    HELM,
    KUBERNETES,
    VERSITYGW,
    pinned_versions,
    platform_name,
)

CONNECT_SECONDS = 4.0
READ_SECONDS = 30.0


class ReleaseUnavailableError(Exception):
    """A release cannot be downloaded; the message names the address and the reason."""


@dataclass(frozen=True)
class Release:
    """One file to download and the programs in it.

    A checksum file holds either the bare SHA-256 or lines of `<sha256>  <file name>`. For an
    archive, `members` are the names of the programs to take out of it; otherwise the file is
    the program.
    """

    url: str
    checksum_url: str
    members: tuple[str, ...] = ()

    @property
    def file_name(self) -> str:
        return PurePosixPath(self.url).name


@dataclass(frozen=True)
class Releases:
    """The releases of a cluster's programs, at their publishers' addresses."""

    kubernetes: str = "https://dl.k8s.io"
    etcd: str = "https://github.com/etcd-io/etcd/releases/download"
    helm: str = "https://get.helm.sh"
    versitygw: str = "https://github.com/versity/versitygw/releases/download"
    platform: tuple[str, str] = field(default_factory=platform_name)

    def files(self) -> list[Release]:
        """List what to download for this platform.

        Raises:
            ReleaseUnavailableError: the publisher has none (Kubernetes' servers: Linux only).
        """
        system, machine = self.platform
        if system != "linux" or machine not in {"amd64", "arm64"}:
            raise ReleaseUnavailableError(f"Kubernetes publishes none for {system}/{machine}")
        pins = pinned_versions()
        return [
            *self._kubernetes_files(pins[KUBERNETES], machine),
            self._etcd_file(pins[ETCD], machine),
            self._helm_file(pins[HELM], machine),
            self._versitygw_file(pins[VERSITYGW], machine),
        ]

    def _kubernetes_files(self, version: str, machine: str) -> Iterator[Release]:
        names = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")
        for name in names:
            url = f"{self.kubernetes}/v{version}/bin/linux/{machine}/{name}"
            yield Release(url, f"{url}.sha256")

    def _etcd_file(self, version: str, machine: str) -> Release:
        folder = f"{self.etcd}/v{version}"
        url = f"{folder}/etcd-v{version}-linux-{machine}.tar.gz"
        return Release(url, f"{folder}/SHA256SUMS", ("etcd",))

    def _helm_file(self, version: str, machine: str) -> Release:
        url = f"{self.helm}/helm-v{version}-linux-{machine}.tar.gz"
        return Release(url, f"{url}.sha256sum", ("helm",))

    def _versitygw_file(self, version: str, machine: str) -> Release:
        folder = f"{self.versitygw}/v{version}"
        name = {"amd64": "x86_64"}.get(machine, machine)
        url = f"{folder}/versitygw_v{version}_Linux_{name}.tar.gz"
        return Release(url, f"{folder}/checksums.txt", ("versitygw",))


def download_programs(releases: Releases, folder: Path, say: Say) -> None:
    """Download every program into `folder`, checked.

    Args:
        releases: what to download, and from where.
        folder: an existing folder; after a failure it may contain some of the programs.
        say: told what is being downloaded.

    Raises:
        ReleaseUnavailableError: a file cannot be downloaded, or does not match its checksum.
    """
    files = releases.files()
    timeout = httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS)
    # No transfer compression: the checksum is over the file as published.
    headers = {"accept-encoding": "identity"}
    with httpx.Client(timeout=timeout, follow_redirects=True, headers=headers) as client:
        with ThreadPoolExecutor(len(files)) as pool:
            checksums = list(pool.map(lambda file: published_checksum(client, file), files))
        for number, (file, checksum) in enumerate(zip(files, checksums, strict=True), start=1):
            say(f"downloading {file.file_name} ({number} of {len(files)})")
            path = folder / file.file_name
            download(client, file.url, path, checksum)
            unpack(path, file, folder)


def published_checksum(client: httpx.Client, release: Release) -> str:
    """Return the SHA-256 (hex) that the publisher gives for `release`."""
    try:
        answer = client.get(release.checksum_url)
        answer.raise_for_status()
    except httpx.HTTPError as error:
        raise ReleaseUnavailableError(_reason(release.checksum_url, error)) from error
    checksum = checksum_in(answer.text, release.file_name)
    if checksum is None:
        raise ReleaseUnavailableError(
            f"{release.checksum_url} has no SHA-256 for {release.file_name}"
        )
    return checksum


def checksum_in(text: str, file_name: str) -> str | None:
    """Return the SHA-256 of `file_name` in a checksum file, which may be one bare sum; or None."""
    words = text.split()
    if len(words) == 1 and _is_sha256(words[0]):
        return words[0].lower()
    for line in text.splitlines():
        checksum, _, name = line.strip().partition(" ")
        if name.strip().removeprefix("*").removeprefix("./") == file_name and _is_sha256(checksum):
            return checksum.lower()
    return None


def _is_sha256(word: str) -> bool:
    return len(word) == 64 and all(letter in "0123456789abcdefABCDEF" for letter in word)


def download(client: httpx.Client, url: str, path: Path, checksum: str) -> None:
    """Write the file at `url` to `path`, and keep it only if its SHA-256 is `checksum`."""
    digest = hashlib.sha256()
    try:
        with client.stream("GET", url) as answer, path.open("wb") as file:
            answer.raise_for_status()
            for chunk in answer.iter_raw():
                digest.update(chunk)
                file.write(chunk)
    except httpx.HTTPError as error:
        path.unlink(missing_ok=True)
        raise ReleaseUnavailableError(_reason(url, error)) from error
    if digest.hexdigest() != checksum:
        path.unlink()
        raise ReleaseUnavailableError(
            f"{url} does not match its checksum: expected {checksum}, got {digest.hexdigest()}"
        )


def unpack(path: Path, release: Release, folder: Path) -> None:
    """Leave the programs of a downloaded release in `folder`, executable, and nothing else."""
    if not release.members:
        path.chmod(0o755)
        return
    with tarfile.open(path) as archive:
        wanted = {PurePosixPath(member.name).name: member for member in archive if member.isfile()}
        for name in release.members:
            source = archive.extractfile(wanted[name]) if name in wanted else None
            if source is None:
                raise ReleaseUnavailableError(f"{release.url} contains no {name}")
            target = folder / name
            with source, target.open("wb") as file:
                while chunk := source.read(1 << 20):
                    file.write(chunk)
            target.chmod(0o755)
    path.unlink()


def _reason(url: str, error: httpx.HTTPError) -> str:
    if isinstance(error, httpx.HTTPStatusError):
        return f"{url} answered {error.response.status_code}"
    return f"{url} cannot be reached ({type(error).__name__})"
