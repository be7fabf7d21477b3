"""Files of callers, sent by `POST /uploads`: their place in the bucket, and the address they go by.

    <prefix>/_inputs/<32 hex digits>/<name>         the key
    s3://<bucket>/<that key>                        the `audioUrl`

No job's objects can be there: theirs are below a versionId, which begins with a letter or a digit.
The digits are random, so that an address is known to nobody but those who were given it.
"""

import re
import secrets
import unicodedata
from dataclasses import dataclass

__all__ = ["MAX_INPUT_BYTES", "Inputs"]

# What one PUT may have, with S3 and most others.
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
MAX_INPUT_BYTES = 5 * 2**30

_FOLDER = "_inputs"
_BELOW = re.compile(r"[0-9a-f]{32}/[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,8}$")
_NAME_LENGTH = 64
_NAMELESS = "audio"


@dataclass(frozen=True)
class Inputs:
    """Where an installation keeps them.

    Attributes:
        bucket: its name.
        prefix: STORAGE_PREFIX.
    """

    bucket: str
    prefix: str

    @property
    def folder(self) -> str:
        """What all their keys begin with, a slash at its end."""
        prefix = self.prefix.strip("/")
        return f"{prefix}/{_FOLDER}/" if prefix else f"{_FOLDER}/"

    def new_key(self, file_name: str) -> str:
        """Return a key that no file had yet.

        Args:
            file_name: as the caller calls it, whatever that is.
        """
        return f"{self.folder}{secrets.token_hex(16)}/{_safe(file_name)}"

    def url_of(self, key: str) -> str:
        """Return the address of a key."""
        return f"s3://{self.bucket}/{key}"

    def key_of(self, url: str) -> str | None:
        """Return the key that an address names; None where it is of anything but one of them."""
        key = url.removeprefix(f"s3://{self.bucket}/")
        return key if key != url and self.holds(key) else None

    def holds(self, key: str) -> bool:
        """Whether a key is that of one of them."""
        below = key.removeprefix(self.folder)
        return below != key and _BELOW.fullmatch(below) is not None


def _safe(file_name: str) -> str:
    """Return what of a file's name may stand in a key, its suffix kept where it is short."""
    last = re.split(r"[/\\]", file_name)[-1]
    ascii_only = unicodedata.normalize("NFKD", last).encode("ascii", "ignore").decode()
    name = _UNSAFE.sub("-", ascii_only)
    found = _SUFFIX.search(name)
    suffix = found[0] if found else ""
    stem = name.removesuffix(suffix).strip("._-")[: _NAME_LENGTH - len(suffix)]
    return f"{stem or _NAMELESS}{suffix}"
