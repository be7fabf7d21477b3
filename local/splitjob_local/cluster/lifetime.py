"""Keeping the cluster of a command running until the user ends the command."""

import signal
import time
from types import FrameType
from typing import NoReturn

from splitjob_local.cluster.local_cluster import LocalCluster
from splitjob_local.console import say
from splitjob_local.processes.supervised import ProcessError

CHECK_SECONDS = 1.0
# With more restarts than this within a minute, starting again does not help.
RESTARTS_PER_MINUTE = 5


class EndRequested(BaseException):
    """The user ended the command; like KeyboardInterrupt, not an error that `except` may catch."""


def end_on_signals() -> None:
    """Raise `EndRequested` on SIGTERM, SIGINT and SIGHUP."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # ignored under nohup
        signal.signal(signal.SIGHUP, _end)


def _end(_number: int, _frame: FrameType | None) -> None:
    ignore_further_signals()
    raise EndRequested


def ignore_further_signals() -> None:
    """Ignore signals during the clean-up, which is short."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def keep_running(cluster: LocalCluster) -> NoReturn:
    """Restart every process of the cluster that ends, until the command is ended.

    Raises:
        ProcessError: too many ended within a minute.
    """
    restarts: list[float] = []
    while True:
        time.sleep(CHECK_SECONDS)
        for name in cluster.processes.ended():
            now = time.monotonic()
            restarts = [moment for moment in restarts if now - moment < 60] + [now]
            if len(restarts) > RESTARTS_PER_MINUTE:
                raise ProcessError(
                    f"{name} does not stay up:\n{cluster.processes.last_words(name)}"
                )
            code = cluster.processes.exit_code(name)
            say(f"{name} ended with status {code}; starting it again, as a machine's init would")
            cluster.processes.restart(name)
