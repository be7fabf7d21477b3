"""One measured figure, and how a list of them is printed and kept."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


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


def table(figures: Sequence[Figure]) -> str:
    """Return the figures as lines of text for a terminal."""
    width = max((len(one.name) for one in figures), default=4)
    verdict = {True: "met", False: "MISSED", None: ""}
    return "\n".join(
        f"{one.name:<{width}}  {one.value:>10.3f} {one.unit:<6} {one.goal:<8} {verdict[one.met]}"
        for one in figures
    )


def save(figures: Sequence[Figure], path: Path) -> None:
    """Write the figures as JSON, replacing those of the same name in the file, keeping others."""
    before = json.loads(path.read_text()) if path.exists() else []
    names = {one.name for one in figures}
    kept = [row for row in before if row["name"] not in names]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([*kept, *map(asdict, figures)], indent=2) + "\n")
