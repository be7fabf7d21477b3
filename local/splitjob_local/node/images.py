"""Which environment of this machine an image name stands for."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

_REFERENCE = re.compile(
    r"[a-z0-9]+([._:/-]+[a-z0-9]+)*(:[\w][\w.-]{0,127})?(@sha256:[0-9a-f]{64})?", re.ASCII
)


@dataclass(frozen=True)
class Environment:
    """Images whose name matches the shell pattern find their programs in this directory."""

    pattern: str
    bin_dir: Path


def is_valid_image(image: str) -> bool:
    """Whether a runtime would take this for an image reference at all."""
    return _REFERENCE.fullmatch(image) is not None


def find_environment(image: str, environments: Sequence[Environment]) -> Environment | None:
    """The first environment whose pattern matches, or None: the image cannot be pulled."""
    return next((one for one in environments if fnmatchcase(image, one.pattern)), None)
