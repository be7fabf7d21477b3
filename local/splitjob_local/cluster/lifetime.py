"""How long a command's cluster lives: until somebody ends it, and no process of it dies before."""

import signal
import time
from types import FrameType
from typing import NoReturn

from splitjob_local.cluster.local_cluster import LocalCluster
from splitjob_local.console import say
from splitjob_local.processes.supervised import ProcessError

CHECK_SECONDS = 1.0
# A process that ends this often within a minute will not get better by being started again.
RESTARTS_PER_MINUTE = 5


class EndRequested(BaseException):
    """The user asked for the end; like KeyboardInterrupt, not an error that anything may handle."""


def end_on_signals() -> None:
    """Raise `EndRequested` where a signal asks for the end."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup means to outlive its terminal
        signal.signal(signal.SIGHUP, _end)


def _end(_number: int, _frame: FrameType | None) -> None:
    ignore_further_signals()
    raise EndRequested


def ignore_further_signals() -> None:
    """Let nothing interrupt the end: it is short, and safe to wait for."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def keep_running(cluster: LocalCluster) -> NoReturn:
    """Keep every process of the cluster running until somebody ends the command.

    Raises:
        ProcessError: one ends again and again.
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
