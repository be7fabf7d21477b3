"""Waiting for what comes by itself."""

import time
from collections.abc import Callable
from typing import TypeVar

import httpx
from tests.support.machine import slowness

from splitjob_local.cluster.kubectl import COMMAND_SECONDS
from splitjob_local.cluster.objects import ClusterError

Found = TypeVar("Found")

PATIENCE = 60.0
NOT_YET = (AssertionError, LookupError, httpx.HTTPError, ClusterError)


def patience(seconds: float = PATIENCE) -> float:
    """Return so many seconds of a machine that is idle, in seconds of this one."""
    return seconds * slowness()


def timeout(seconds: float = PATIENCE) -> str:
    """Return the option with which kubectl and helm wait so many seconds of an idle machine.

    A command is given up after `COMMAND_SECONDS` and says nothing then: it ends by itself before.
    """
    return f"--timeout={min(patience(seconds), COMMAND_SECONDS - 5):.0f}s"


def comes_true(look: Callable[[], object], seconds: float, pause: float = 0.1) -> bool:
    """Whether a look gives something within so many seconds of a machine that is idle."""
    try:
        eventually(look, seconds, pause)
    except AssertionError:
        return False
    return True


def eventually(look: Callable[[], Found], seconds: float = PATIENCE, pause: float = 0.1) -> Found:
    """Return what a look gives once it gives something.

    Args:
        look: what is waited for; while it gives nothing, or fails as on what is not there yet, it
            is called again.
        seconds: for how long, on a machine that is idle.
        pause: between two looks, in seconds.

    Raises:
        AssertionError: it did not come; with the last failure as its cause.
    """
    allowed = patience(seconds)
    deadline = time.monotonic() + allowed
    while True:
        trouble: Exception | None = None
        try:
            if found := look():
                return found
        except NOT_YET as error:
            trouble = error
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {allowed:.0f} s") from trouble
        time.sleep(pause)
