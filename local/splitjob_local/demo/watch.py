"""Following a SplitJob with kubectl, as a person at a terminal would."""

import subprocess
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from splitjob_local.cluster import Cluster, ClusterError

SLICE_SECONDS = 60.0  # below the time limit of a kubectl command


class Watch:
    """Shows `kubectl get splitjobs --watch` as it goes, in a `with` block.

    Args:
        cluster: where to look.
        namespace: of the SplitJobs.
        show: is given each line that says something new.
    """

    def __init__(self, cluster: Cluster, namespace: str, show: Callable[[str], None]) -> None:
        self._show = show
        self._kubectl = subprocess.Popen(
            [cluster.programs["kubectl"], "get", "splitjobs", "-n", namespace, "--watch"],
            env=cluster.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Self:
        self._reader.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._kubectl.terminate()
        self._kubectl.wait()
        self._reader.join(2)

    def _read(self) -> None:
        previous = ""
        for line in self._kubectl.stdout or ():
            columns = line.split()
            news = " ".join(columns[:-1])  # the last column is the age
            if news != previous:
                previous = news
                self._show(line.rstrip())


def wait_for(cluster: Cluster, namespace: str, name: str, condition: str, seconds: float) -> bool:
    """Wait until a condition of a SplitJob is True; returns whether it is by then."""
    deadline = time.monotonic() + seconds
    what = ("-n", namespace, f"--for=condition={condition}", f"splitjob/{name}")
    while (left := deadline - time.monotonic()) > 0:
        try:
            cluster.kubectl("wait", *what, f"--timeout={min(left, SLICE_SECONDS):.0f}s")
        except ClusterError:
            time.sleep(0.2)
        else:
            return True
    return False
