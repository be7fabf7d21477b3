"""What the command prints: sentences and a progress bar for people, JSON for programs."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from typing import Any, TypeAlias

from tqdm import tqdm

ProgressBar: TypeAlias = Any  # tqdm's, which has no types

# File names may hold control characters, which a terminal would obey.
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if code != ord("\n")}


class Console:
    """Standard output and standard error.

    Args:
        as_json: standard output is for programs; sentences go to standard error.
    """

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, TextIOWrapper):  # a file's name may not be text
                stream.reconfigure(errors="backslashreplace")

    def say(self, text: str) -> None:
        """Print a sentence."""
        stream = sys.stderr if self._as_json else sys.stdout
        print(text.translate(_CONTROLS), file=stream, flush=True)

    def warn(self, text: str) -> None:
        """Print what went wrong, or differs from what the user may expect."""
        print(f"separate: {text.translate(_CONTROLS)}", file=sys.stderr, flush=True)

    def record(self, content: dict[str, Any]) -> None:
        """Print one line of JSON, if that was asked for."""
        if self._as_json:
            print(json.dumps(content), flush=True)


class Progress:
    """The stages of one song, timed, with a bar for the separation (`pipeline.StageTimer`).

    Args:
        seconds: of the song.

    Attributes:
        timings: milliseconds of each stage.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.timings: dict[str, int] = {}

    @contextmanager
    def stage(self, name: str, /) -> Iterator[Callable[[float], None]]:
        """Run a stage; the context's value is called with the share that is done, 0 to 1."""
        began = time.monotonic()
        try:
            if name == "separate":
                with self._bar() as bar:
                    yield lambda share: self._advance(bar, share)
            else:
                yield lambda _share: None
        finally:
            self.timings[name] = round((time.monotonic() - began) * 1000)

    def _bar(self) -> ProgressBar:
        return tqdm(
            total=round(self._seconds, 2),
            unit="seconds",
            dynamic_ncols=True,
            disable=None,  # unless standard error is a terminal
            bar_format="{l_bar}{bar}| {n:.1f}/{total:.1f} [{elapsed}<{remaining}, {rate_fmt}]",
        )

    def _advance(self, bar: ProgressBar, share: float) -> None:
        bar.update(share * self._seconds - bar.n)
