"""How much memory each model of the registry takes on a CPU, against what its record says.

Where the weights are not here, random numbers in the model's architecture take as much.
"""

import sys
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any

from bench.commands import run
from bench.figures import Figure, at_most, note
from bench.material import HTDEMUCS, Songs, random_weights
from splitjob.models import ModelRecord, load_registry

COMMAND = "make bench ONLY=memory"
_PIECE_SECONDS = 10.0
# A second segment is under way while the first is added up, and the queues before files are full.
_SEGMENTS, _LEAST_SECONDS = 1.5, 20.0
# Arguments of the constructors where they are not the defaults, of one model of each bag. They fit
# the number of parameters that Meta's files hold.
_ARGUMENTS: dict[str, dict[str, Any]] = {
    "htdemucs": HTDEMUCS,
    "htdemucs_ft": HTDEMUCS,
    "htdemucs_6s": {"dconv_mode": 3, "segment": Fraction(39, 5)},
    "hdemucs_mmi": {"segment": Fraction(44)},
    "mdx_extra": {"segment": Fraction(44)},
}
_CLASSES = {"HTDemucs": "demucs.htdemucs.HTDemucs", "HDemucs": "demucs.hdemucs.HDemucs"}


def measure() -> list[Figure]:
    """Return the figures; takes about five minutes on two cores."""
    with tempfile.TemporaryDirectory(prefix="bench-memory-") as name:
        folder = Path(name)
        songs = Songs(folder, _PIECE_SECONDS)
        return [
            figure
            for record in load_registry().values()
            for figure in _of_model(record, folder, songs)
        ]


def _of_model(record: ModelRecord, folder: Path, songs: Songs) -> list[Figure]:
    where: list[str | Path] = []
    if not record.embedded:
        klass = _CLASSES[record.architecture]
        arguments = _ARGUMENTS[record.name]
        home = folder / record.name
        random_weights(home, klass, record.stems, arguments, len(record.files), {})
        where = ["--repo", home]
    song = songs.song(max(_SEGMENTS * record.segment_seconds, _LEAST_SECONDS))
    words = ["separate", "-n", record.name, "-d", "cpu", *where, "-o", folder / "out", song]
    took = run([Path(sys.executable).with_name("track-tree-audio"), *words], watch_memory=True)
    print(f"    {record.name}: {took.peak_bytes / 1e6:.0f} MB, {took.wall:.0f} s", flush=True)
    figures = [note(f"memory: {record.name}", took.peak_bytes / 1e6, "MB", COMMAND)]
    if record.memory_bytes is not None:
        share = took.peak_bytes / record.memory_bytes
        figures.append(
            at_most(f"memory: {record.name}, of its record", share, "ratio", 1.0, COMMAND)
        )
    return figures
