"""Chart values that a local cluster sets itself and that its user cannot override.

With other values, what `track-tree-audio local up` prints would be wrong: the service would use
another bucket, or sign with a token that the cluster does not know.
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
    """The user set a reserved chart value; the message says which."""


def refuse_reserved_values(files: Sequence[Path], settings: Sequence[str]) -> None:
    """Check that the user's chart values do not set a reserved one.

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
    """Whether a document sets a value, or replaces the mapping that contains it."""
    if not isinstance(document, dict):
        return False  # helm reports what is wrong with it
    for part in name.split("."):
        if not isinstance(document, dict):
            return True
        if part not in document:
            return False
        document = document[part]
    return True


def _is_meant(name: str, key: str) -> bool:
    """Whether a key of `--set` is this value, a part of it, or a mapping that contains it."""
    parts = [part.partition("[")[0] for part in key.split(".")]
    return all(one == other for one, other in zip(parts, name.split("."), strict=False))
