"""Printing the demo's steps: what happens, what it proves, how long it took."""

import os
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TextIO

WIDTH = 92
_BOLD, _DIM, _GREEN, _RED, _RESET = "\033[1m", "\033[2m", "\033[32m", "\033[31m", "\033[0m"


@dataclass(frozen=True)
class Check:
    """The result of one check.

    Attributes:
        holds: whether it passed.
        what: a sentence that says what was checked.
    """

    holds: bool
    what: str


class Narrator:
    """Prints the steps and records their checks.

    Args:
        steps: how many steps there will be.
        out: the output.

    Attributes:
        checks: all checks so far, in order.
        timings: the seconds of each finished step, by its title.
    """

    def __init__(self, steps: int, out: TextIO = sys.stdout) -> None:
        self.checks: list[Check] = []
        self.timings: dict[str, float] = {}
        self._steps = steps
        self._out = out
        self._started = time.monotonic()
        self._colour = out.isatty() and "NO_COLOR" not in os.environ

    @property
    def failed(self) -> list[Check]:
        """The checks that failed."""
        return [check for check in self.checks if not check.holds]

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    @contextmanager
    def step(self, title: str, why: str) -> Iterator[None]:
        """Announce a step and, at its end, the time it took.

        Args:
            title: what is done.
            why: what it shows, for a reader who is new to the service.
        """
        number = len(self.timings) + 1
        self._line(f"\n{self._paint(_BOLD, f'[{number}/{self._steps}] {title}')}")
        self._wrapped(why, _DIM)
        started = time.monotonic()
        yield
        self.timings[title] = time.monotonic() - started
        self._line(self._paint(_DIM, f"    ({self.timings[title]:.1f} s)"))

    def say(self, text: str) -> None:
        """Print a sentence inside a step, wrapped."""
        self._wrapped(text)

    def show(self, text: str) -> None:
        """Print text unchanged, line by line: a command, an answer."""
        for line in text.splitlines():
            self._line(f"      {line}")

    def check(self, holds: bool, what: str) -> bool:
        """Record and print a check; returns `holds`."""
        self.checks.append(Check(holds, what))
        mark = self._paint(_GREEN, "✓") if holds else self._paint(_RED, "✗ NOT SO:")
        first, *rest = textwrap.wrap(what, WIDTH - 6)
        self._line(f"    {mark} {first}")
        for line in rest:
            self._line(f"      {line}")
        return holds

    def end(self) -> bool:
        """Print the summary; returns whether every check passed."""
        total = len(self.checks)
        self._line(f"\n{self._paint(_BOLD, 'Summary')}")
        for title, seconds in self.timings.items():
            self._line(f"    {seconds:6.1f} s  {title}")
        self._line(f"    {self.seconds:6.1f} s  in all")
        if self.failed:
            self._line(self._paint(_RED, f"\n{len(self.failed)} of {total} checks do not hold:"))
            for check in self.failed:
                self._line(f"    ✗ {check.what}")
        else:
            self._line(self._paint(_GREEN, f"\nAll {total} checks hold."))
        return not self.failed

    def _wrapped(self, text: str, style: str = "") -> None:
        for line in textwrap.wrap(text, WIDTH - 4):
            self._line(f"    {self._paint(style, line)}")

    def _paint(self, style: str, text: str) -> str:
        return f"{style}{text}{_RESET}" if self._colour and style else text

    def _line(self, text: str) -> None:
        print(text, file=self._out, flush=True)
