"""`python -m splitjob_local.images.release`: make all files of a release in one folder.

It builds the images, stores each as an OCI layout, extracts their bills of materials, packages the
chart, writes checksums, and prints the commands that push and sign by digest. Without `--publish`
nothing leaves this machine.
"""

import argparse
import hashlib
import json
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from splitjob_local.images.arguments import EPILOG, add_arguments, build_of, image_name
from splitjob_local.images.engine import TARGETS, Build, Engine, ImageError, build
from splitjob_local.images.recipe import DOCUMENTS
from splitjob_local.paths import REPOSITORY, cache_root
from splitjob_local.programs.versions import find_program

__all__ = ["Released", "commands"]

CHART = REPOSITORY / "charts/track-tree-audio"


@dataclass(frozen=True)
class Released:
    """An image of a release: its name, manifest digest, OCI layout and bill of materials."""

    reference: str
    digest: str
    layout: Path
    materials: Path

    @property
    def by_digest(self) -> str:
        """The name by digest, which a moved tag cannot change."""
        return f"{self.reference.rpartition(':')[0]}@{self.digest}"


def release(arguments: argparse.Namespace) -> None:
    """Make all files of a release; with `--publish` also push and sign them."""
    version = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]
    out = Path(arguments.out)
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    engine = Engine.find(arguments.engine)
    if engine.name == "docker":
        raise ImageError("docker stores no OCI layout of its own; release with buildah or podman")
    how, tag = build_of(arguments), arguments.tag or version
    images = [
        _image(engine, name, f"{image_name(arguments, name)}:{tag}", how, out)
        for name in arguments.images
    ]
    chart = _package(out)
    _checksums(out)
    todo = commands(images, chart, arguments.registry)
    print("\nTo push, and sign by digest:" if not arguments.publish else "\nPushing and signing:")
    for command in todo:
        print(f"  {shlex.join(command)}", flush=True)
        if arguments.publish:
            subprocess.run(command, check=True)
    if not arguments.publish:
        print("Nothing was pushed (PUBLISH=1 runs these).")


def _image(engine: Engine, name: str, reference: str, how: Build, out: Path) -> Released:
    build(engine, TARGETS[name], reference, how)
    layout, materials = out / f"{name}.oci", out / f"{name}.sbom.cdx.json"
    engine.run("push", "--quiet", "--format", "oci", reference, f"oci:{layout}:{reference}")
    engine.copy_out(reference, f"/{DOCUMENTS}/sbom.cdx.json", materials)
    digest = json.loads((layout / "index.json").read_text())["manifests"][0]["digest"]
    print(f"{reference}\n  {digest}\n  {_manifest_size(layout, digest) / 1e6:.1f} MB to pull")
    return Released(reference, digest, layout, materials)


def _manifest_size(layout: Path, digest: str) -> int:
    manifest = json.loads((layout / "blobs" / digest.replace(":", "/")).read_text())
    return sum(layer["size"] for layer in manifest["layers"])


def _package(out: Path) -> Path:
    helm = find_program("helm", sorted(cache_root().glob("bin/*"))) or shutil.which("helm")
    if not helm:
        raise ImageError("helm is not installed, and `make cluster` never fetched it here")
    subprocess.run([str(helm), "package", str(CHART), "--destination", str(out)], check=True)
    return next(out.glob("*.tgz"))


def _checksums(out: Path) -> None:
    """Write the SHA-256 sums of the release's files in the format of `sha256sum`."""
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}"
        for path in sorted(out.iterdir())
        if path.is_file()
    ]
    (out / "SHA256SUMS").write_text("\n".join(lines) + "\n")


def commands(images: Iterable[Released], chart: Path, registry: str) -> list[list[str]]:
    """Return the commands that push and sign images, bills of materials and chart, by digest.

    Args:
        images: in OCI layouts, whose digests a push preserves.
        chart: the packaged chart.
        registry: the target.
    """
    found = []
    for one in images:
        layout = f"oci:{one.layout}:{one.reference}"
        found.append(["skopeo", "copy", "--preserve-digests", layout, f"docker://{one.reference}"])
        found.append(["cosign", "sign", "--yes", one.by_digest])
        attest = ["cosign", "attest", "--yes", "--type", "cyclonedx"]
        found.append([*attest, "--predicate", str(one.materials), one.by_digest])
    found.append(["helm", "push", str(chart), f"oci://{registry}/charts"])
    signature = f"{chart}.sigstore.json"
    found.append(["cosign", "sign-blob", "--yes", "--bundle", signature, str(chart)])
    return found


def main() -> int:
    """Make a release; 1: something failed."""
    description = str(__doc__).split(":", 1)[1].strip()
    parser = argparse.ArgumentParser(description=description, epilog=EPILOG)
    add_arguments(parser)
    parser.add_argument("--out", default=str(REPOSITORY / "dist/release"))
    parser.add_argument("--publish", action="store_true", help="push and sign")
    try:
        release(parser.parse_args())
    except (ImageError, subprocess.CalledProcessError) as error:
        print(f"release: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
