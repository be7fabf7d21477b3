"""The progress a worker prints: it never falls, and every line can be read."""

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitjob.result import ProgressLine
from splitjob_worker.cgroups import MemoryUse
from splitjob_worker.reporting import progress as reporting
from splitjob_worker.reporting.progress import STARTS, Progress


@given(st.lists(st.tuples(st.sampled_from(list(STARTS)), st.lists(st.floats(-1, 2))), max_size=8))
def test_progress_never_falls_and_is_always_readable(
    stages: list[tuple[str, list[float]]],
) -> None:
    out = io.StringIO()
    progress = Progress(out)
    for name, shares in stages:
        with progress.stage(name) as say:
            for share in shares:
                say(share)
    lines = [ProgressLine.model_validate_json(line) for line in out.getvalue().splitlines()]
    figures = [line.percent for line in lines]
    assert figures == sorted(figures)
    assert len(lines) <= len(stages) + 50
    assert set(progress.timings) == {name for name, _ in stages}


def test_a_line_says_how_much_memory_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Acceptance 36: of a worker that is killed for it, the last of them is all that is known."""
    out = io.StringIO()
    progress = Progress(out)
    for used in (None, MemoryUse(6 << 30, 4 << 30, None)):
        monkeypatch.setattr(reporting, "memory_use", lambda used=used: used)
        with progress.stage("separate"):
            pass
    assert out.getvalue().splitlines() == [
        '{"progress":true,"stage":"separate","percent":8}',
        '{"progress":true,"stage":"separate","percent":8,"memory":4294967296}',
    ]


def test_a_line_for_every_two_per_cent() -> None:
    out = io.StringIO()
    progress = Progress(out)
    with progress.stage("separate") as say:
        for share in range(1001):
            say(share / 1000)
    figures = [json.loads(line)["percent"] for line in out.getvalue().splitlines()]
    assert figures == list(range(8, 90, 2))
