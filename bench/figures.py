"""One measured figure, and how it is printed and kept."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

NAME_WIDTH = 64  # characters


@dataclass(frozen=True)
class Figure:
    """One measured number beside its goal.

    Attributes:
        name: what was measured.
        value: the number.
        unit: s, ratio, dB, MB, ...
        goal: in words, e.g. `<= 3`; empty where there is none.
        met: whether the goal was met; None where there is none.
        command: what prints this figure again.
    """

    name: str
    value: float
    unit: str
    goal: str
    met: bool | None
    command: str


def at_most(name: str, value: float, unit: str, limit: float, command: str) -> Figure:
    """Return a figure whose goal is an upper limit."""
    return Figure(name, round(value, 3), unit, f"<= {limit:g}", value <= limit, command)


def at_least(name: str, value: float, unit: str, limit: float, command: str) -> Figure:
    """Return a figure whose goal is a lower limit."""
    return Figure(name, round(value, 3), unit, f">= {limit:g}", value >= limit, command)


def note(name: str, value: float, unit: str, command: str) -> Figure:
    """Return a figure without a goal."""
    return Figure(name, round(value, 3), unit, "", None, command)


def line(figure: Figure) -> str:
    """Return a figure as a line of text for a terminal."""
    verdict = {True: "met", False: "MISSED", None: ""}[figure.met]
    return (
        f"{figure.name:<{NAME_WIDTH}}  {figure.value:>10.3f} {figure.unit:<6} "
        f"{figure.goal:<8} {verdict}"
    ).rstrip()


def save(figure: Figure, path: Path) -> None:
    """Write a figure into a JSON file, in the place of the one of its name, if any.

    The file is whole at any moment: a run that is broken off leaves what it has measured.
    """
    before = json.loads(path.read_text()) if path.exists() else []
    kept = [row for row in before if row["name"] != figure.name]
    path.parent.mkdir(parents=True, exist_ok=True)
    written = path.with_suffix(".part")
    written.write_text(json.dumps([*kept, asdict(figure)], indent=2) + "\n")
    written.replace(path)
