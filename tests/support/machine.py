"""How fast this machine is now, so that the tests' patience is in proportion to it.

Measured once for a whole run, before its first test, on as many processes at once as the tests use:
a slow machine shows in it, and one of whose processors something else keeps busy as well.
"""

import os
import subprocess
import sys
import time

# What the measurement takes on an idle machine of two cores, as `make test` is timed on.
REFERENCE_SECONDS = 0.5
PROCESSES = 3
_WORK = "sum(number * number for number in range(4_000_000))"
_VARIABLE = "TESTS_SLOWNESS"


def measure() -> float:
    """Return how many times as long as on the reference machine work takes here; at least 1."""
    started = time.monotonic()
    command = [sys.executable, "-I", "-S", "-c", _WORK]
    running = [subprocess.Popen(command) for _ in range(PROCESSES)]
    for process in running:
        process.wait()
    return max(1.0, (time.monotonic() - started) / REFERENCE_SECONDS)


def slowness() -> float:
    """Return what was measured for this run; its processes tell one another by a variable."""
    if _VARIABLE not in os.environ:
        os.environ[_VARIABLE] = f"{measure():.2f}"
    return float(os.environ[_VARIABLE])
