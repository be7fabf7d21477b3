"""What is said: sentences for people, a bar on a terminal, lines of JSON for programs."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from typing import Any

from tqdm import tqdm

# Names of files may hold such, and a terminal would obey them.
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if code != ord("\n")}


class Console:
    """Standard output and standard error.

    Args:
        as_json: standard output belongs to programs; what people are told goes to standard error.
    """

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, TextIOWrapper):  # a file's name may be no text at all
                stream.reconfigure(errors="backslashreplace")

    def say(self, text: str) -> None:
        """Tell people."""
        stream = sys.stderr if self._as_json else sys.stdout
        print(text.translate(_CONTROLS), file=stream, flush=True)

    def complain(self, text: str) -> None:
        """Tell people what went wrong, or other than they may think."""
        print(f"separate: {text.translate(_CONTROLS)}", file=sys.stderr, flush=True)

    def record(self, content: dict[str, Any]) -> None:
        """Tell programs: one line."""
        if self._as_json:
            print(json.dumps(content), flush=True)


class Progress:
    """The stages of one song, timed, with a bar for the separation (`song.Stages`).

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
        """Run a stage; the function taken hears the share that is done, 0 to 1."""
        began = time.monotonic()
        try:
            if name == "separate":
                with self._bar() as bar:
                    yield lambda share: self._advance(bar, share)
            else:
                yield lambda _share: None
        finally:
            self.timings[name] = round((time.monotonic() - began) * 1000)

    def _bar(self) -> Any:  # noqa: ANN401 - tqdm has no types
        return tqdm(
            total=round(self._seconds, 2),
            unit="seconds",
            dynamic_ncols=True,
            disable=None,  # unless standard error is a terminal
            bar_format="{l_bar}{bar}| {n:.1f}/{total:.1f} [{elapsed}<{remaining}, {rate_fmt}]",
        )

    def _advance(self, bar: Any, share: float) -> None:  # noqa: ANN401
        bar.update(share * self._seconds - bar.n)
