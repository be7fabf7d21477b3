"""The inputs of an image, by its Dockerfile: unless one of them changes, no build is needed."""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from splitjob_local.images.engine import Target


@dataclass(frozen=True)
class ImageSource:
    """What one image is built from.

    Attributes:
        target: its Dockerfile and the stage in it.
        arguments: build arguments, without the base image.
    """

    target: Target
    arguments: Mapping[str, str] = field(default_factory=dict)


def inputs_hash(repository: Path, source: ImageSource, *base: str) -> str:
    """Return a hash of all inputs of an image, short enough for a tag.

    Args:
        repository: the checkout.
        source: what the image is built from.
        base: name and id of the base image.
    """
    digest = hashlib.sha256()
    dockerfile = (repository / source.target.file).read_text()
    arguments = sorted(source.arguments.items())
    digest.update(json.dumps([dockerfile, source.target.stage, arguments, base]).encode())
    for file in context_files(repository, dockerfile):
        name = file.relative_to(repository).as_posix()
        executable = os.access(file, os.X_OK)
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        digest.update(f"{name} {executable} {content}\n".encode())
    return digest.hexdigest()[:16]


def context_files(repository: Path, dockerfile: str) -> list[Path]:
    """Return the files of the checkout that a Dockerfile copies, sorted."""
    rules = (repository / ".dockerignore").read_text().splitlines()
    files: set[Path] = set()
    for source in copied_paths(dockerfile):
        for place in sorted(repository.glob(source)) if source != "." else [repository]:
            files.update(_files_below(place, repository, rules))
    return sorted(files)


def copied_paths(dockerfile: str) -> list[str]:
    """Return the paths that a Dockerfile copies from the build context, not from other stages."""
    joined = dockerfile.replace("\\\n", " ")
    paths: list[str] = []
    for line in re.findall(r"^(?:COPY|ADD)\s+(.+)$", joined, re.MULTILINE):
        words = line.split()
        options = [word for word in words if word.startswith("--")]
        if not any(option.startswith("--from=") for option in options):
            paths += [word.rstrip("/") or "." for word in words[len(options) : -1]]
    # RUN can mount files from the context, too.
    for mount in re.findall(r"--mount=(type=bind\S*)", joined):
        values = dict(item.partition("=")[::2] for item in mount.split(","))
        if "from" not in values:
            paths.append(values.get("source") or values.get("src") or ".")
    return paths


def _files_below(place: Path, repository: Path, rules: list[str]) -> Iterator[Path]:
    """Yield the files at and below a path, without reading ignored folders."""
    name = place.relative_to(repository).as_posix()
    if place.is_file():
        if not is_ignored(name, rules):
            yield place
    elif place.is_dir() and (not is_ignored(name, rules) or _is_above_kept(name, rules)):
        for child in sorted(place.iterdir()):
            yield from _files_below(child, repository, rules)


def _is_above_kept(name: str, rules: list[str]) -> bool:
    """Whether a rule includes something below a folder that may itself be ignored."""
    return name == "." or any(rule.startswith(f"!{name}/") for rule in rules)


def is_ignored(path: str, rules: Iterable[str]) -> bool:
    """Whether `.dockerignore` excludes a path: the last matching rule decides."""
    ignored = False
    parts = PurePosixPath(path).parts
    ways = ["/".join(parts[:length]) for length in range(1, len(parts) + 1)]
    for line in rules:
        rule = line.strip()
        if not rule or rule.startswith("#"):
            continue
        kept, pattern = rule.startswith("!"), rule.removeprefix("!").strip("/")
        if any(_matches(way, pattern) for way in ways):
            ignored = not kept
    return ignored


def _matches(path: str, pattern: str) -> bool:
    if pattern.startswith("**/"):
        return fnmatch(path.rpartition("/")[2], pattern[3:]) or fnmatch(path, pattern)
    return path.count("/") == pattern.count("/") and fnmatch(path, pattern)
