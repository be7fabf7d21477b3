"""Chart values that a local cluster sets itself, and tells its clients.

Set otherwise, what `track-tree-audio local up` prints would not hold, and the service would lose
its bucket or sign with a token that nobody here knows.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import yaml

RESERVED_VALUES = (
    "secrets",
    "storage.endpoint",
    "storage.region",
    "storage.bucket",
    "webhooks.allowlist",
)


class ReservedValueError(Exception):
    """A chart value that is the cluster's own was to be set; the message says which."""


def refuse_reserved_values(files: Sequence[Path], settings: Sequence[str]) -> None:
    """See that the user's chart values leave those of the cluster alone.

    Args:
        files: of chart values.
        settings: `key=value`, several of them with commas between, as for `helm --set`.

    Raises:
        ReservedValueError: one of them is set, or a file is not YAML.
    """
    documents = [_read(file) for file in files]
    keys = [key for setting in settings for key in re.findall(r"(?:^|,)([^=,]+)=", setting)]
    refused = [
        name
        for name in RESERVED_VALUES
        if any(_is_in(name, document) for document in documents)
        or any(_is_meant(name, key) for key in keys)
    ]
    if refused:
        raise ReservedValueError(
            f"{', '.join(refused)}: the cluster sets this itself and prints it, so it cannot come "
            "from --set or --values"
        )


def _read(file: Path) -> object:
    try:
        return yaml.safe_load(file.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ReservedValueError(f"{file} is not YAML: {error}") from None


def _is_in(name: str, document: object) -> bool:
    """Whether a document sets a value, or puts something else in place of what it is part of."""
    if not isinstance(document, dict):
        return False  # helm says what is wrong with it
    for part in name.split("."):
        if not isinstance(document, dict):
            return True
        if part not in document:
            return False
        document = document[part]
    return True


def _is_meant(name: str, key: str) -> bool:
    """Whether a key of `--set` is this value, a part of it, or what it is part of."""
    parts = [part.partition("[")[0] for part in key.split(".")]
    return all(one == other for one, other in zip(parts, name.split("."), strict=False))
