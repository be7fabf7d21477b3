"""The layers of an image, their sizes, and which of them another image lacks."""

import os
import re
import subprocess
import tarfile
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from splitjob_local.images.engine import Engine, ImageError, describe

__all__ = ["Layer", "changed_layers", "layer_sizes"]

LEVEL = 6  # of gzip, as engines use when they push
CHUNK = 1 << 20


@dataclass(frozen=True)
class Layer:
    """A layer of an image.

    Attributes:
        digest: of its uncompressed tar archive.
        size: of that archive, in bytes.
        compressed: size in a registry, in bytes; 0 if not measured.
    """

    digest: str
    size: int
    compressed: int


def changed_layers(engine: Engine, before: str, after: str) -> list[Layer]:
    """Return the layers of an image that another one lacks: what an upgrade pulls.

    Args:
        engine: holds both.
        before: the image that a node has.
        after: the image that it pulls.
    """
    known = set(describe(engine, before).layers)
    wanted = [one for one in describe(engine, after).layers if one not in known]
    return layer_sizes(engine, after, wanted) if wanted else []


def layer_sizes(
    engine: Engine, image: str, wanted: Sequence[str], *, compress: bool = True
) -> list[Layer]:
    """Return some layers of an image with their sizes, in the order asked for.

    The image is read as a stream, so that other layers of gigabytes need no disk space.

    Args:
        engine: holds it.
        image: its name.
        wanted: digests of uncompressed layers.
        compress: measure the compressed sizes as well, about a minute for 2 GB.
    """
    found = {}
    for digest, size, content in _stream(engine, image):
        if digest in wanted:
            found[digest] = Layer(digest, size, _compressed(content) if compress else 0)
    if missing := set(wanted) - found.keys():
        raise ImageError(f"{image}: {engine.name} saves it without {', '.join(sorted(missing))}")
    return [found[digest] for digest in wanted]


def _stream(engine: Engine, image: str) -> Iterator[tuple[str, int, IO[bytes]]]:
    """Yield digest, size and content of each layer; the archive names layers by digest."""
    with tempfile.TemporaryDirectory() as folder:
        pipe = Path(folder) / "image.tar"
        os.mkfifo(pipe)
        saving = subprocess.Popen(
            engine.save_command(image, pipe), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        try:
            with pipe.open("rb") as raw, tarfile.open(fileobj=raw, mode="r|") as archive:
                for member in archive:
                    name = re.search(r"([0-9a-f]{64})(\.tar)?$", member.name)
                    content = archive.extractfile(member) if name and member.isfile() else None
                    if name and content:
                        yield f"sha256:{name[1]}", member.size, content
                while raw.read(CHUNK):
                    pass
        finally:
            _, errors = saving.communicate()
        if saving.returncode:
            raise ImageError(f"{image}: {engine.name} cannot save it: {errors.decode().strip()}")


def _compressed(content: IO[bytes]) -> int:
    packer, size = zlib.compressobj(LEVEL, wbits=31), 0
    while chunk := content.read(CHUNK):
        size += len(packer.compress(chunk))
    return size + len(packer.flush())
