"""Which separations may go on from one another; imported without numpy."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, replace

from splitjob_worker.engine.options import Options, Precision
from splitjob_worker.source.audio import Decoded


def fingerprint_of(
    source_digest: str,
    decoded: Decoded,
    model_digest: str,
    stems: Sequence[str],
    options: Options,
    precision: Precision,
) -> str:
    """Return what two separations have in common where one can go on from the other.

    Args:
        source_digest: SHA-256 of the downloaded file.
        decoded: the song; its length and normalisation show a decoder that decodes otherwise.
        model_digest: of the weights.
        stems: that the models give, in their order.
        options: of the separation.
        precision: of the arithmetic.
    """
    said = {
        "source": source_digest,
        "frames": decoded.frames,
        "normalisation": asdict(decoded.normalisation),
        "model": model_digest,
        "stems": list(stems),
        "options": asdict(replace(options, precision=precision)),
    }
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
