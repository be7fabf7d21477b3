"""Checking the licences of all packages, in the images and for development, against an allowlist.

`python -m splitjob_local.images.licences` checks them and writes docs/licences.md. The allowlist
and the packages reviewed by hand are in pyproject.toml under `tool.track-tree-audio.licences`.
"""

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from splitjob.models import load_registry
from splitjob_local.images.recipe import LAYERS, layers, locked
from splitjob_local.paths import REPOSITORY

__all__ = ["PAGE", "Package", "Policy", "page", "problems", "read_packages", "read_policy"]

PAGE = Path("docs/licences.md")
IMAGES = {"api": "API", "operator": "operator", "job": "worker"}


@dataclass(frozen=True)
class Package:
    """An installed package: the licence in its metadata, and the images that contain it."""

    name: str
    version: str
    licence: str
    images: tuple[str, ...]


@dataclass(frozen=True)
class Policy:
    """The allowlist.

    Attributes:
        allowed: licences, as packages write them.
        development: further licences for packages that are in no image.
        reviewed: packages (or patterns of names) reviewed by hand -> the finding.
    """

    allowed: frozenset[str]
    development: frozenset[str]
    reviewed: Mapping[str, str]


def read_policy(root: Path = REPOSITORY) -> Policy:
    """Return the allowlist in pyproject.toml."""
    tools = tomllib.loads((root / "pyproject.toml").read_text())["tool"]
    table: dict[str, Any] = tools["track-tree-audio"]["licences"]
    return Policy(frozenset(table["allowed"]), frozenset(table["development"]), table["reviewed"])


def read_packages(root: Path = REPOSITORY) -> list[Package]:
    """Return the packages of this environment with their licences, without the project itself."""
    found = subprocess.run(
        [sys.executable, "-m", "piplicenses", "--from=mixed", "--format=json", "--with-system"],
        check=True,
        capture_output=True,
        text=True,
    )
    text = (root / "requirements.lock").read_text()
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    held = {
        IMAGES[extra]: set(
            re.findall(
                r"^([\w.-]+)==",
                "".join(layers(extra, project, locked(text)).values()),
                re.MULTILINE,
            )
        )
        for extra in LAYERS
    }
    packages = []
    for row in json.loads(found.stdout):
        name = re.sub(r"[-_.]+", "-", row["Name"]).lower()
        if name in locked(text):
            images = tuple(image for image, names in held.items() if name in names)
            packages.append(Package(name, row["Version"], row["License"], images))
    return sorted(packages, key=lambda one: one.name)


def problems(packages: Collection[Package], policy: Policy) -> list[str]:
    """Return a sentence for each package whose licence is neither allowed nor reviewed."""
    return [
        f"{one.name} {one.version}: {one.licence!r} is not allowed "
        f"{'in an image' if one.images else 'even for development'}; look at it, then add the "
        "licence or the package to tool.track-tree-audio.licences in pyproject.toml"
        for one in packages
        if not _is_reviewed(one, policy) and not _is_allowed(one, policy)
    ]


def _is_reviewed(package: Package, policy: Policy) -> bool:
    return any(fnmatchcase(package.name, pattern) for pattern in policy.reviewed)


def _is_allowed(package: Package, policy: Policy) -> bool:
    allowed = policy.allowed if package.images else policy.allowed | policy.development
    parts = re.split(r" AND |; ", package.licence)
    return all(any(one in allowed for one in part.split(" OR ")) for part in parts)


def page(packages: Collection[Package], policy: Policy) -> str:
    """Return docs/licences.md."""
    shipped = [one for one in packages if one.images]
    lines = [
        "# Licences",
        "",
        "Written by `make licences` from what the packages say of themselves; a test fails where",
        "one comes in whose licence nobody has looked at. The texts are in the images, below",
        "`/usr/share/doc/track-tree-audio`, beside a bill of materials (CycloneDX). This is a",
        "list, not legal advice. The base image's own packages are not in it.",
        "",
        "The project itself is under the MIT licence.",
        "",
        "## Looked at by hand",
        "",
        *[f"- `{name}`: {why}" for name, why in sorted(policy.reviewed.items())],
        "",
        "## Weights",
        "",
        "| model | what is known of the right to use its weights |",
        "| --- | --- |",
        *[f"| `{one.name}` | {one.license_note} |" for one in load_registry(None).values()],
        "",
        "## Packages in the images",
        "",
        "| package | version | licence | images |",
        "| --- | --- | --- | --- |",
        *[_row(one) + f" {', '.join(one.images)} |" for one in shipped],
        "",
        "## Packages for development alone",
        "",
        "| package | version | licence |",
        "| --- | --- | --- |",
        *[_row(one) for one in packages if not one.images],
    ]
    return "\n".join(lines) + "\n"


def _row(package: Package) -> str:
    return f"| `{package.name}` | {package.version} | {package.licence} |"


def main() -> int:
    """Check all licences and write the page; 1: some are neither allowed nor reviewed."""
    packages, policy = read_packages(), read_policy()
    found = problems(packages, policy)
    for line in found:
        print(line, file=sys.stderr)
    (REPOSITORY / PAGE).write_text(page(packages, policy))
    print(f"{len(packages)} packages, {len(found)} to look at; written: {PAGE}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
