"""What the run tells: a line for each check as it happens, the figures at the end."""

import time
from dataclasses import dataclass, field

import pytest


@dataclass
class Report:
    """What was checked and measured, told as it happens."""

    config: pytest.Config
    figures: dict[str, tuple[float, float, str]] = field(default_factory=dict)

    def check(self, what: str, expected: object, got: object) -> None:
        """Tell whether something is as expected, and fail where it is not."""
        self.tell(what, expected, got)
        assert got == expected, what

    def tell(self, what: str, expected: object, got: object) -> None:
        """Tell whether something is as expected."""
        holds = expected == got
        mark, said = ("ok  ", f"{got}") if holds else ("FAIL", f"expected {expected}, got {got}")
        self.say(f"{mark} {time.strftime('%H:%M:%S')}  {what}: {said}")

    def figure(self, what: str, value: float, goal: float, unit: str = "s") -> None:
        """Keep a figure and its goal for the end, and tell it now."""
        self.figures[what] = (value, goal, unit)
        self.say(f"     {time.strftime('%H:%M:%S')}  {what}: {value:.1f} {unit} (goal {goal:g})")

    def say(self, text: str) -> None:
        """Print a line past pytest's capturing."""
        capture = self.config.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled():
            print(text, flush=True)
