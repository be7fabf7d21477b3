"""The decoder against the `ffmpeg` program, over some four hundred files of every kind."""

import json
import subprocess
import sys
from pathlib import Path

from bench.differential import EQUAL, WRONG, Summary
from bench.figures import Figure, at_least, at_most, note

COMMAND = "make bench ONLY=corpus"
FEWEST = 300


def measure() -> list[Figure]:
    """Return the figures; takes about two minutes."""
    output = subprocess.run(
        [sys.executable, "-m", "bench.differential"],
        cwd=Path(__file__).parents[1],
        stdout=subprocess.PIPE,
        check=True,
    ).stdout
    summary = Summary(**json.loads(output))
    reasons = {name: count for name, count in summary.verdicts.items() if name != WRONG}
    return [
        at_least("corpus: files tried", summary.files, "files", FEWEST, COMMAND),
        note("corpus: equal", summary.verdicts.get(EQUAL, 0), "files", COMMAND),
        note("corpus: explained", summary.explained, "files", COMMAND),
        at_most("corpus: wrong", len(summary.wrong), "files", 0, COMMAND),
        *(
            note(f"corpus: {reason}", count, "files", COMMAND)
            for reason, count in sorted(reasons.items())
            if reason != EQUAL
        ),
    ]
