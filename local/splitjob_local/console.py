"""What a command of this package tells the person who started it."""

import sys
from collections.abc import Callable

Say = Callable[[str], None]
"""Tells a person, in a sentence, what is being done; for whatever takes more than a moment."""


def say(text: str) -> None:
    """Tell it on stderr: stdout is for the one line of JSON that programs read."""
    print(f"track-tree-audio: {text}", file=sys.stderr, flush=True)


def silent(_text: str) -> None:
    """Tell nobody."""
