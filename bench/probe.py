"""`track-tree-audio` with a stopwatch in it: `python -m bench.probe FILE separate ARGUMENTS`.

FILE gets, as JSON, when the first segment entered the model (seconds since the epoch) and how many
seconds forward passes were under way, one or several at once. Only two hooks of torch are added, so
that the command takes what it takes without them. With `--first` before FILE the command is
interrupted, as by Ctrl-C, once the first segment entered.
"""

import importlib.util
import json
import signal
import sys
import time
from collections.abc import Callable
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from threading import Lock
from types import ModuleType
from typing import Any

from track_tree_audio import main as program

FIRST = "--first"
LOADER = "splitjob_worker.engine.bag"  # it takes each model from its function `build`


class Stopwatch:
    """Times the forward passes of models.

    Args:
        on_first: is called when the first segment entered a model.
    """

    def __init__(self, on_first: Callable[[], None] = lambda: None) -> None:
        self.first: float | None = None
        self._on_first = on_first
        self.forwards = 0.0
        self._began = 0.0
        self._under_way = 0
        self._lock = Lock()

    def watching(self, build: Callable[..., Any]) -> Callable[..., Any]:
        """Return a `build` whose models are watched."""

        def watched(*arguments: Any, **options: Any) -> Any:
            model = build(*arguments, **options)
            model.register_forward_pre_hook(self._enter)
            model.register_forward_hook(self._leave)
            return model

        return watched

    def _enter(self, *_: object) -> None:
        with self._lock:
            if self.first is None:
                self.first = time.time()
                self._on_first()
            if self._under_way == 0:
                self._began = time.perf_counter()
            self._under_way += 1

    def _leave(self, *_: object) -> None:
        with self._lock:
            self._under_way -= 1
            if self._under_way == 0:
                self.forwards += time.perf_counter() - self._began


class Finder(MetaPathFinder):
    """Lets a module be imported as ever, at its time, and then puts the stopwatch in."""

    def __init__(self, stopwatch: Stopwatch) -> None:
        self._stopwatch = stopwatch

    def find_spec(self, fullname: str, _path: object, _target: object = None) -> ModuleSpec | None:
        """Stand in for Python's own finders, once."""
        if fullname != LOADER:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            spec.loader = Installer(spec.loader, self._stopwatch)
        return spec


class Installer(Loader):
    """Loads a module as its own loader does, then puts the stopwatch in.

    The other loader is left as it is: several modules may share it.
    """

    def __init__(self, loader: Loader, stopwatch: Stopwatch) -> None:
        self._loader, self._stopwatch = loader, stopwatch

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Make the module."""
        return self._loader.create_module(spec)

    def exec_module(self, module: Any) -> None:
        """Run the module."""
        self._loader.exec_module(module)
        module.build = self._stopwatch.watching(module.build)


def main() -> int:
    """Run the command; write what was measured."""
    only_first = sys.argv[1] == FIRST
    file, *words = sys.argv[2 if only_first else 1 :]
    stopwatch = Stopwatch(_interrupt) if only_first else Stopwatch()
    sys.meta_path.insert(0, Finder(stopwatch))
    status = program.main(words)
    result = {"first": stopwatch.first, "forwards": stopwatch.forwards}
    Path(file).write_text(json.dumps(result), encoding="utf-8")
    return 0 if only_first and status == program.EXIT_INTERRUPTED else status


def _interrupt() -> None:
    signal.raise_signal(signal.SIGINT)


if __name__ == "__main__":
    program.run(main)
