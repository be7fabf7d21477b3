"""Importing images into containerd: first each blob, then a small archive that lists them."""

import hashlib
import io
import json
import os
import tarfile
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from splitjob_local.containers.containerd import Containerd
from splitjob_local.processes.supervised import ProcessError

IMPORT_TRIES = 3
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def import_image(containerd: Containerd, manifest: bytes, folder: Path, name: str) -> None:
    """Import an image whose blobs are in a folder; only blobs that the store lacks are copied.

    Until the image exists nothing refers to its blobs, so containerd's garbage collector may delete
    one of them in between: then it is copied again.

    Raises:
        ProcessError: containerd refused it.
    """
    for _ in range(IMPORT_TRIES):
        for digest in set(blobs_of(manifest)) - containerd.blobs():
            containerd.take(digest, folder / digest.removeprefix("sha256:"))
        refused = _import(containerd, manifest, name)
        if not refused:
            return
    with suppress(ProcessError):
        containerd.ctr("images", "remove", name)  # registered, but incomplete
    raise ProcessError(f"containerd does not take the image {name}: {refused}")


def _import(containerd: Containerd, manifest: bytes, name: str) -> str:
    """Import an image whose blobs are in the store; returns why containerd refused it, or blank."""
    archive = io.BytesIO()
    write_archive(archive, manifest, name)
    return containerd.import_archive(archive.getvalue())


def blobs_of(manifest: bytes) -> list[str]:
    """Return the digests of an image's configuration and layers."""
    document: dict[str, Any] = json.loads(manifest)
    return [document["config"]["digest"], *(layer["digest"] for layer in document["layers"])]


def write_archive(to: IO[bytes], manifest: bytes, name: str) -> None:
    """Write an OCI archive of one image of which all blobs are in the store.

    Args:
        to: where it goes.
        manifest: the image's own.
        name: of the image.
    """
    digest = hashlib.sha256(manifest).hexdigest()
    descriptor = {
        "mediaType": json.loads(manifest).get("mediaType", OCI_MANIFEST),
        "digest": f"sha256:{digest}",
        "size": len(manifest),
        "annotations": {"io.containerd.image.name": name},
    }
    index = {"schemaVersion": 2, "manifests": [descriptor]}
    with tarfile.open(fileobj=to, mode="w|") as archive:
        _add(archive, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        _add(archive, f"blobs/sha256/{digest}", manifest)
        _add(archive, "index.json", json.dumps(index).encode())


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


def pause_image(program: Path, folder: Path) -> bytes:
    """Write the blobs of an image that holds one static program, and return its manifest."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as archive:
        member = tarfile.TarInfo("pause")
        member.mode, member.size = 0o755, program.stat().st_size
        with program.open("rb") as content:
            archive.addfile(member, content)
    layer_digest = _keep(folder, layer.getvalue())
    configuration = {
        "architecture": os.uname().machine.replace("x86_64", "amd64").replace("aarch64", "arm64"),
        "os": "linux",
        "config": {"Entrypoint": ["/pause"], "User": "65535:65535"},
        "rootfs": {"type": "layers", "diff_ids": [layer_digest]},
    }
    encoded = json.dumps(configuration).encode()
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": _keep(folder, encoded),
                "size": len(encoded),
            },
            "layers": [
                {
                    "mediaType": "application/vnd.oci.image.layer.v1.tar",
                    "digest": layer_digest,
                    "size": len(layer.getvalue()),
                }
            ],
        }
    ).encode()


def _keep(folder: Path, content: bytes) -> str:
    name = hashlib.sha256(content).hexdigest()
    (folder / name).write_bytes(content)
    return f"sha256:{name}"
