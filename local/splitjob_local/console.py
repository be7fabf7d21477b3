"""Progress messages for the person who started a command."""

import sys
from collections.abc import Callable

Say = Callable[[str], None]
"""Prints one message about a step that takes a while."""


def say(text: str) -> None:
    """Print a message on stderr: stdout is for the line of JSON that programs read."""
    print(f"track-tree-audio: {text}", file=sys.stderr, flush=True)


def silent(_text: str) -> None:
    """Print nothing."""
