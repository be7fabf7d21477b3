"""Verification by the documentation alone, without the service's code.

Signatures are computed with the standard library, as a receiver in any language would; checksums
over the downloaded files; sums of samples from stems that are decoded again.
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from splitjob_local.demo.audio import Signal, rms_dbfs, sdr
from splitjob_local.demo.receiver import Delivery

# The residual computed here may differ from the reported one by 16 bit rounding and resampling.
RESIDUAL_TOLERANCE_DB = 1.0
ROUNDING_DBFS = -80.0
# The share of a synthesised song's energy that may be missing from its stems.
MAX_MISSING_PERCENT = 25.0


def signature_holds(delivery: Delivery, token: str) -> bool:
    """Check X-Signature: HMAC-SHA256(token, body + "|" + timestamp), in hex."""
    stamp = delivery.headers.get("x-timestamp", "")
    wanted = hmac.new(token.encode(), delivery.body + b"|" + stamp.encode(), hashlib.sha256)
    given = delivery.headers.get("x-signature", "")
    return hmac.compare_digest(given.encode(), b"sha256=" + wanted.hexdigest().encode())


def standard_signature_holds(delivery: Delivery, token: str) -> bool:
    """Check webhook-signature: HMAC-SHA256(token, id.timestamp.body), in base64."""
    names = ("webhook-id", "webhook-timestamp")
    signed = ".".join(delivery.headers.get(name, "") for name in names).encode()
    wanted = hmac.new(token.encode(), signed + b"." + delivery.body, hashlib.sha256).digest()
    given = delivery.headers.get("webhook-signature", "").split()
    return f"v1,{base64.b64encode(wanted).decode()}" in given


def checksum(file: Path) -> str:
    """Return `sha256:<hex>` of a file."""
    with file.open("rb") as opened:
        return f"sha256:{hashlib.file_digest(opened, 'sha256').hexdigest()}"


def residual_dbfs(
    mixture: Signal, stems: Mapping[str, Signal], gains: Mapping[str, float]
) -> float:
    """Return the RMS of the mixture minus the sum of the stems, dBFS.

    Args:
        mixture: shape (2, n).
        stems: as decoded from the files.
        gains: the gain against clipping of each written stem; undone here.
    """
    length = min(mixture.shape[1], *(stem.shape[1] for stem in stems.values()))
    rest = mixture[:, :length].astype(np.float64)
    for name, stem in stems.items():
        rest -= stem[:, :length] / gains[name]
    return rms_dbfs(rest.astype(np.float32))


def residuals_agree(ours: float, theirs: float) -> bool:
    """Whether two residuals in dBFS agree; below the rounding of 16 bits any two do."""
    both_tiny = max(ours, theirs) < ROUNDING_DBFS
    return both_tiny or abs(ours - theirs) <= RESIDUAL_TOLERANCE_DB


def sdr_table(
    known: Mapping[str, Signal], found: Mapping[str, Signal], mixture: Signal
) -> dict[str, tuple[float, float]]:
    """Return, for each stem, its SDR and the SDR of the unseparated mixture, dB."""
    return {
        name: (sdr(stem, found[name]), sdr(stem, mixture))
        for name, stem in known.items()
        if name in found
    }
