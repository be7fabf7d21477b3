"""`track-tree-audio separate`: one song after the other, and the exit status."""

import logging
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from concurrent.futures import Future, wait
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from splitjob.errors import ErrorCode, Failure
from splitjob.result import EXIT_BAD_INPUT, EXIT_DEFECT, EXIT_DONE, EXIT_TRANSIENT
from splitjob_worker import deferred
from splitjob_worker.cancellation import Cancelled, CancelToken, run_in_thread
from splitjob_worker.cli.separate import models
from splitjob_worker.cli.separate.console import Console
from splitjob_worker.cli.separate.layout import Layout, LayoutError, Workspace
from splitjob_worker.cli.separate.models import ModelChoice
from splitjob_worker.cli.separate.options import Arguments, parse
from splitjob_worker.cli.separate.track import TrackSeparation
from splitjob_worker.engine import weights
from splitjob_worker.engine.options import Remainder
from splitjob_worker.machine import (
    hide_from_children,
    keep_freed_memory,
    limit_blas_threads,
    limit_openmp_spinning,
)

if TYPE_CHECKING:
    from splitjob_worker.engine.separator import Separator

EXIT_USAGE = 2
EXIT_MODEL = 13
EXIT_DEVICE = 14
EXIT_DISK = 15
_EXIT_SIGNAL = 128  # plus the signal's number, as shells have it

_STATUS = {
    ErrorCode.REQUEST_INVALID: EXIT_USAGE,
    ErrorCode.MODEL_UNAVAILABLE: EXIT_MODEL,
    ErrorCode.WORKER_CONFIG: EXIT_MODEL,
    ErrorCode.GPU_ERROR: EXIT_DEVICE,
    ErrorCode.GPU_OOM: EXIT_TRANSIENT,
    ErrorCode.WORKER_OOM: EXIT_TRANSIENT,
    ErrorCode.WORKER_STORAGE: EXIT_DISK,
    ErrorCode.INTERNAL_ERROR: EXIT_DEFECT,
}  # every other code concerns the song itself: EXIT_BAD_INPUT
# With these, the remaining songs would fail in the same way.
_FATAL = {
    ErrorCode.REQUEST_INVALID,
    ErrorCode.MODEL_UNAVAILABLE,
    ErrorCode.WORKER_CONFIG,
    ErrorCode.GPU_ERROR,
    ErrorCode.GPU_OOM,
}
_GRACE_SECONDS = 3.0  # for work to end by itself when cancelled; a forward pass may take longer
_POLL_SECONDS = 0.1


def main(argv: Sequence[str]) -> int:
    """Run `track-tree-audio separate`.

    Returns:
        The exit status; `docs/separate.md` lists them.
    """
    arguments = parse(argv)
    console = Console(as_json=arguments.json)
    logging.getLogger("splitjob_worker").addHandler(logging.NullHandler())
    try:
        if arguments.list_models:
            print(models.listing(arguments.repo))
            return EXIT_DONE
        return _Command(arguments, console).run()
    except Failure as failure:
        console.warn(failure.message)
        return _STATUS.get(failure.code, EXIT_BAD_INPUT)


class _Command:
    """One run of the command."""

    def __init__(self, arguments: Arguments, console: Console) -> None:
        self._arguments = arguments
        self._console = console
        self._tracks = [Path(file) for file in arguments.files]
        self._cancel = CancelToken()
        self._signal = 0
        self._status = EXIT_DONE

    def run(self) -> int:
        """Separate all songs; return the exit status.

        Raises:
            Failure: none can be separated.
        """
        if self._arguments.jobs:
            self._console.warn("-j is ignored: one song at a time, with all CPUs")
        try:
            choice, layout, workspace = self._prepare()
        except Failure as failure:
            for track in self._tracks:
                self._record_failure(track, failure)
            raise
        with workspace:
            loading = run_in_thread(lambda: self._load(choice))
            separation = TrackSeparation(
                self._arguments, choice, loading, layout, workspace, self._console,
                self._cancel.check,
            )  # fmt: skip
            work = run_in_thread(lambda: self._separate_all(separation))
            status = self._wait(work)
        if not (work.done() and loading.done()):
            # A thread inside torch cannot be ended, but there is nothing left for it to do.
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
        return status

    def _prepare(self) -> tuple[ModelChoice, Layout, Workspace]:
        """Check everything that can be checked before torch is loaded, and set the process up."""
        arguments = self._arguments
        choice = models.choose(arguments.model, arguments.repo)
        choice.check(arguments.stem, arguments.segment, arguments.residual_to)
        layout = self._layout(choice)
        hide_from_children()
        limit_openmp_spinning()
        limit_blas_threads()
        keep_freed_memory(choice.record.segment_seconds)
        self._listen_for_signals()
        return choice, layout, _workspace(layout.folder)

    def _layout(self, choice: ModelChoice) -> Layout:
        arguments = self._arguments
        layout = Layout(
            Path(os.path.normpath(arguments.out / choice.record.name)),
            arguments.template,
            arguments.format,
        )
        try:
            layout.check(self._tracks, arguments.outputs(choice.record.stems))
        except LayoutError as error:
            raise Failure(ErrorCode.REQUEST_INVALID, str(error)) from None
        return layout

    def _separate_all(self, separation: TrackSeparation) -> int:
        """Separate the songs; one that fails does not stop the others."""
        self._console.say(
            f"Separated tracks will be stored in {separation.layout.folder.resolve()}"
        )
        fatal: Failure | None = None
        for track in self._tracks:
            self._cancel.check()
            if fatal is not None:
                self._record_failure(track, fatal)
                continue
            self._console.say(f"Separating track {track}")
            failure = self._separate(separation, track)
            if failure is not None:
                self._console.warn(f"{track}: {failure.message}")
                self._record_failure(track, failure)
                self._status = self._status or _STATUS.get(failure.code, EXIT_BAD_INPUT)
                fatal = failure if failure.code in _FATAL else None
        return self._status

    def _separate(self, separation: TrackSeparation, track: Path) -> Failure | None:
        """Separate one song; return why it could not be."""
        try:
            result = separation.separate(track)
        except Failure as failure:
            return failure
        except BrokenPipeError:
            raise
        except OSError as error:
            return _disk_failure(error)
        except MemoryError:
            return Failure(ErrorCode.WORKER_OOM, "the memory does not suffice for this song")
        except Exception as error:  # noqa: BLE001 - the other songs are still to be separated
            return self._defect(error)
        self._console.record(result)
        if self._arguments.verbose:
            steps = ", ".join(f"{name} {ms / 1000:.2f} s" for name, ms in result["timings"].items())
            self._console.say(f"  {steps}")
        return None

    def _load(self, choice: ModelChoice) -> "Separator":
        """Check the weights and load the model, beside the first song's decoding."""
        arguments = self._arguments
        remainder = None
        if arguments.remainder is not None:
            adds = arguments.other_method == "add"
            remainder = Remainder(arguments.remainder, "add" if adds else "minus")
        separator = deferred.load_separator(
            lambda: weights.find(choice.record, choice.folder),
            arguments.device,
            None if arguments.stem is None else [arguments.stem],
            arguments.precision,
            remainder,
        )
        if arguments.device == "auto":
            kind = separator.device.type
            no_gpu = ": torch finds no GPU here (with -d cuda, that would be an error)"
            self._console.warn(f"running on {kind}{no_gpu if kind == 'cpu' else ''}")
        return separator

    def _defect(self, error: Exception) -> Failure:
        if self._arguments.verbose:
            traceback.print_exception(error)
        frame = traceback.extract_tb(error.__traceback__)[-1]
        return Failure(
            ErrorCode.INTERNAL_ERROR,
            f"a defect of this program: {type(error).__name__} at {Path(frame.filename).name}:"
            f"{frame.lineno} (-v shows more)",
        )

    def _record_failure(self, track: Path, failure: Failure) -> None:
        self._console.record(
            {
                "file": str(track),
                "status": "failed",
                "errorCode": failure.code.value,
                "error": failure.message,
            }
        )

    def _listen_for_signals(self) -> None:
        """Let Ctrl-C and the like cancel the work; what `nohup` ignores stays ignored."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self._signal = number
        self._cancel.cancel()

    def _wait(self, work: Future[int]) -> int:
        """Wait until the work ends, or, once cancelled, a few seconds at most."""
        while not (work.done() or self._cancel.cancelled):
            wait([work], _POLL_SECONDS)
        wait([work], _GRACE_SECONDS)
        if work.done():
            with suppress(Cancelled):
                return work.result()
        self._console.warn("interrupted")
        return _EXIT_SIGNAL + self._signal


def _workspace(folder: Path) -> Workspace:
    try:
        return Workspace(folder)
    except OSError as error:
        raise _disk_failure(error) from None


def _disk_failure(error: OSError) -> Failure:
    where = f"{error.filename}: " if error.filename else ""
    return Failure(ErrorCode.WORKER_STORAGE, f"{where}{error.strerror or type(error).__name__}")
