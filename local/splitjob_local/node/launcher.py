"""The last step before a container's program: run by path, in an interpreter of its own.

It ties the process's life to the node's, then becomes the program. Arguments: the descriptor to
report a failed start on (closed by a successful one), the process that must be the parent, and
the program with its arguments. It imports as little as it can: every pod start waits for it.
"""

import contextlib
import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
_KILLED_BEFORE_THE_NODE = "500"


def _die_with(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def _prefer_for_out_of_memory() -> None:
    with (
        contextlib.suppress(OSError),
        open("/proc/self/oom_score_adj", "w", encoding="ascii") as score,  # noqa: PTH123
    ):
        score.write(_KILLED_BEFORE_THE_NODE)


def _take_terminal() -> None:
    """Make the terminal that the program was given its controlling one, so that Ctrl-C works."""
    if os.isatty(0):
        import fcntl  # noqa: PLC0415 - seldom needed
        import termios  # noqa: PLC0415

        fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def main() -> None:
    report, parent, program = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    _die_with(parent)
    _prefer_for_out_of_memory()
    _take_terminal()
    # The interpreter ignores these for itself; the program must start with the defaults.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    if hasattr(signal, "SIGXFSZ"):
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    os.set_inheritable(report, False)
    try:
        os.execvp(program[0], program)  # noqa: S606
    except OSError as error:
        os.write(report, f'exec: "{program[0]}": {os.strerror(error.errno or 0)}'.encode())
        os._exit(128)


if __name__ == "__main__":
    main()
