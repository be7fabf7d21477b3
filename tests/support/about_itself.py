"""A program of a pod that says what it finds; it ends with the status that it is given."""

import getpass
import json
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path


def tried(action: Callable[[], object]) -> str:
    """Return what an action gives, or how it fails."""
    try:
        return str(action())
    except (KeyError, OSError) as error:
        return type(error).__name__


def main() -> None:
    """Print what there is, as JSON."""
    lines = Path("/proc/self/status").read_text().splitlines()
    status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    found = {
        "ids": [os.getuid(), os.getgid()],
        "groups": os.getgroups(),
        "name": tried(getpass.getuser),
        "capabilities": [status[name] for name in ("CapPrm", "CapEff", "CapBnd", "CapInh")],
        "no_new_privileges": status["NoNewPrivs"],
        "signals": [status[name] for name in ("SigBlk", "SigIgn", "SigCgt")],
        "host": socket.gethostname(),
        "environment": dict(os.environ),
        "directory": os.getcwd(),  # noqa: PTH109
        "root": sorted(os.listdir("/")),  # noqa: PTH208
        "home_of_root": tried(lambda: os.listdir("/root/.cache")),  # noqa: PTH208
        "shadow": tried(Path("/etc/shadow").read_text),
        "family": [os.getppid(), os.getsid(0) == os.getpid()],
        "open": sorted(os.listdir("/proc/self/fd")),  # noqa: PTH208
        "input": tried(Path("/proc/self/fd/0").readlink),
        "command": Path("/proc/self/cmdline").read_text().rstrip("\0").split("\0"),
        "arguments": sys.argv,
        "path": sys.path,
        "preloaded": "splitjob_kubelet.runtime.launcher" in sys.modules,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
    sys.exit(int((sys.argv[1:] or ["0"])[0]))
