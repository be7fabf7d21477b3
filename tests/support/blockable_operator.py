"""The operator, whose event loop SIGUSR1 blocks until SIGUSR2 comes; its other threads go on.

Python calls a signal's handler in the main thread, between two steps of what that does: the loop.
"""

import runpy
import signal
import sys


def block(*_: object) -> None:
    """Do nothing until SIGUSR2, as a call that does not return would."""
    signal.sigwait({signal.SIGUSR2})


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
    signal.signal(signal.SIGUSR1, block)
    sys.argv[0] = "kopf"
    runpy.run_module("kopf", run_name="__main__")
