"""Which parts of a benchmark are measured."""

import pytest

from bench.rows import wanted_rows

KNOWN = ("time", "start", "memory")


def test_all_by_default_and_else_those_that_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ROWS", raising=False)
    assert wanted_rows(KNOWN) == ["time", "start", "memory"]
    monkeypatch.setenv("ROWS", "memory,time")
    assert wanted_rows(KNOWN) == ["memory", "time"]


def test_one_that_is_not_known_is_refused_with_those_that_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ROWS", "time,speed")
    with pytest.raises(SystemExit, match="no rows 'speed'; there are: time, start, memory"):
        wanted_rows(KNOWN)
