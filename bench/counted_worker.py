"""The worker, with a count of its forward passes and a stopwatch on its checkpoints.

`python -m bench.counted_worker FOLDER`: in FOLDER, `passes` gets a byte for each segment that a
model was run on, also where the worker is killed; `times.json` is written at its end.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from splitjob_worker.cancellation import CancelToken
from splitjob_worker.machine import limit_blas_threads, limit_openmp_spinning


class Stopwatch:
    """Adds up what calls take of the processor, each in its own thread."""

    def __init__(self) -> None:
        self.cpu = 0.0

    def around(self, owner: Any, name: str) -> None:
        """Time each call of a method."""
        method = getattr(owner, name)

        def timed(*arguments: Any, **options: Any) -> Any:
            began = time.thread_time()
            try:
                return method(*arguments, **options)
            finally:
                self.cpu += time.thread_time() - began

        setattr(owner, name, timed)


def count_passes(path: Path) -> None:
    """Write a byte into a file for each segment that goes through a model."""
    from splitjob_worker.engine.model_run import ModelRun  # noqa: PLC0415 - seconds

    estimates: Callable[..., Any] = getattr(ModelRun, "_estimates")  # noqa: B009 - see below

    def counted(run: ModelRun, part: Any) -> Any:
        with path.open("ab") as file:
            file.write(b"." * len(part[0]))
        return estimates(run, part)

    setattr(ModelRun, "_estimates", counted)  # noqa: B010 - it is none of ours


def main() -> None:
    """Run the worker that the environment describes."""
    folder = Path(sys.argv[1])
    limit_openmp_spinning()  # as the worker does before torch is imported, which is earlier here
    limit_blas_threads()
    cancel = CancelToken()
    cancel.listen_for_signals()
    from splitjob_worker import run  # noqa: PLC0415 - as late as the worker itself
    from splitjob_worker.checkpoints.checkpoints import Checkpoints  # noqa: PLC0415
    from splitjob_worker.checkpoints.writing import CheckpointWriter  # noqa: PLC0415

    count_passes(folder / "passes")
    kept = Stopwatch()
    for name in ("open", "keep", "remove"):
        kept.around(Checkpoints, name)
    kept.around(CheckpointWriter, "_send_all")
    began = time.monotonic()
    status = run.main(cancel, began)
    times = {
        "wall": time.monotonic() - began,
        "cpu": time.process_time(),
        "checkpoints": kept.cpu,
    }
    (folder / "times.json").write_text(json.dumps(times))
    os._exit(status)


if __name__ == "__main__":
    main()
