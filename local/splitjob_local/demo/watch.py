"""Following a SplitJob with kubectl, as a person at a terminal would."""

import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Self

from splitjob.resource import LABEL_SPLITJOB
from splitjob_local.cluster.kubectl import KubectlClient, KubectlError
from splitjob_local.processes.prctl import die_with_parent

LAST_ROW_SECONDS = 0.5
SLICE_SECONDS = 60.0  # below the time limit of a kubectl command


class Watch:
    """Follows one SplitJob in a `with` block: the table of SplitJobs, the Job, the worker's log.

    Args:
        cluster: kubectl for it.
        namespace: of the SplitJobs.
        name: the SplitJob.
        show: called with each changed row.
        log: the file for the worker's log.
    """

    def __init__(
        self,
        cluster: KubectlClient,
        namespace: str,
        name: str,
        show: Callable[[str], None],
        log: Path,
    ) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._selector = f"--selector={LABEL_SPLITJOB}={name}"
        self._show = show
        self._log = log
        self._followed: subprocess.Popen[bytes] | None = None
        self._table = subprocess.Popen(
            [cluster.programs["kubectl"], "get", "splitjobs", "-n", namespace, "--watch"],
            env=cluster.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            preexec_fn=die_with_parent,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Self:
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.join(LAST_ROW_SECONDS)
        self._table.terminate()
        self._table.wait()
        self._reader.join(5)
        if self._followed is not None:
            self._followed.terminate()
            self._followed.wait()

    def _read(self) -> None:
        previous = ""
        for line in self._table.stdout or ():
            columns = line.split()
            news = " ".join(columns[:-1])  # the last column is the age
            if news != previous:
                previous = news
                self._show(line.rstrip())
            if "Running" in columns and self._followed is None:
                self._follow()

    def _follow(self) -> None:
        """Show the Job and its pod, and copy the worker's log: all are deleted after the job."""
        with suppress(KubectlError):
            for line in self._cluster.kubectl(
                "get", "jobs,pods", "-n", self._namespace, self._selector
            ).splitlines():
                self._show(f"  | {line}")
        with self._log.open("wb") as log:
            self._followed = subprocess.Popen(
                [
                    self._cluster.programs["kubectl"],
                    *("logs", "--follow", "-n", self._namespace, self._selector, "--tail=-1"),
                ],
                env=self._cluster.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.DEVNULL,
                preexec_fn=die_with_parent,
            )


def wait_for(
    cluster: KubectlClient, namespace: str, name: str, condition: str, seconds: float
) -> bool:
    """Wait until a condition of a SplitJob is True; returns whether it is by then."""
    deadline = time.monotonic() + seconds
    what = ("-n", namespace, f"--for=condition={condition}", f"splitjob/{name}")
    while (left := deadline - time.monotonic()) > 0:
        try:
            cluster.kubectl("wait", *what, f"--timeout={min(left, SLICE_SECONDS):.0f}s")
        except KubectlError:
            time.sleep(0.2)
        else:
            return True
    return False
