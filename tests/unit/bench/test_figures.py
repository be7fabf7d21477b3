"""Figures are kept one by one, so that a run that is broken off leaves what it has measured."""

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench import __main__ as program
from bench.figures import Figure, at_most, note, save


def test_a_figure_takes_the_place_of_the_one_of_its_name(tmp_path: Path) -> None:
    path = tmp_path / "out" / "results.json"
    for figure in (note("a", 1, "s", "x"), note("b", 2, "s", "x"), at_most("a", 3, "s", 2, "x")):
        save(figure, path)
    kept = json.loads(path.read_text())
    assert [(row["name"], row["value"], row["met"]) for row in kept] == [
        ("b", 2, None),
        ("a", 3, False),
    ]


def test_what_was_measured_before_a_run_broke_off_is_printed_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken_off() -> Iterator[Figure]:
        yield note("the first", 1, "s", "x")
        raise KeyboardInterrupt

    monkeypatch.setattr(program, "RESULTS", tmp_path / "results.json")
    monkeypatch.setattr("sys.argv", ["bench", "operator"])
    bench = SimpleNamespace(measure=broken_off)
    monkeypatch.setattr("importlib.import_module", lambda _: bench)
    with pytest.raises(KeyboardInterrupt):
        program.main()
    assert "the first" in capsys.readouterr().out
    assert "the first" in (tmp_path / "results.json").read_text()
