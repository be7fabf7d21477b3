"""The stopwatch inside the programs that are measured."""

import importlib
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from bench import probe


class Model:
    """As much of a torch module as the stopwatch needs."""

    def register_forward_pre_hook(self, hook: Any) -> None:
        self.before = hook

    def register_forward_hook(self, hook: Any) -> None:
        self.after = hook

    def __call__(self) -> None:
        self.before(self, ())
        time.sleep(0.02)
        self.after(self, (), None)


def test_the_stopwatch_is_put_in_when_the_module_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "module_of_this_test.py").write_text("def build(model):\n    return model\n")
    # pytest has one loader for all modules of such names: the others must not notice.
    (tmp_path / "other_of_this_test.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(probe, "LOADER", "module_of_this_test")
    stopwatch = probe.Stopwatch()
    monkeypatch.setattr(sys, "meta_path", [probe.Finder(stopwatch), *sys.meta_path])
    module = importlib.import_module("module_of_this_test")
    monkeypatch.delitem(sys.modules, "module_of_this_test")
    importlib.import_module("other_of_this_test")
    monkeypatch.delitem(sys.modules, "other_of_this_test")
    model = module.build(Model())
    began = time.time()
    model()
    first = stopwatch.first
    model()
    assert first is not None
    assert first >= began
    assert stopwatch.first == first
    assert stopwatch.forwards >= 0.04


def test_the_first_segment_is_told_once() -> None:
    told: list[float | None] = []
    stopwatch, model = probe.Stopwatch(lambda: told.append(stopwatch.first)), Model()
    stopwatch.watching(lambda: model)()
    model()
    model()
    assert told == [stopwatch.first]


def test_passes_at_once_count_once() -> None:
    stopwatch, model = probe.Stopwatch(), Model()
    stopwatch.watching(lambda: model)()
    began = time.perf_counter()
    model.before(model, ())
    model()
    model.after(model, (), None)
    assert 0.02 <= stopwatch.forwards <= time.perf_counter() - began
