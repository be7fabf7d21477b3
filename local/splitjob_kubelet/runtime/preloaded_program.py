"""The process that is copied: run as a script, in the environment of the image.

It imports what it is told to, then forks itself for each request. A fork is given what a new
process has: the node as its parent, a session, outputs, confinement, environment and command line;
then it runs the Python program that the command names.
"""

import ctypes
import gc
import json
import os
import runpy
import shutil
import signal
import socket
import struct
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

from splitjob_kubelet.runtime import launcher

_REQUEST_BYTES = 200_000
_MOST_DESCRIPTORS = 5
_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_FIRST_ARGUMENT, _END_OF_ARGUMENTS = 45, 46  # fields of /proc/PID/stat after the process's name
_GO_BYTES = 8
_ADOPTION_SECONDS = 0.001
_LOCALES = {"LANG", "LC_ALL", "LC_CTYPE"}

_CAPABILITIES_VERSION_3 = 0x20080522  # capset(2)
_CAPABILITIES_BYTES = 24

_libc = ctypes.CDLL(None)


def _serve(asked: socket.socket) -> list[str]:
    """Serve until nobody can ask any more; returns in each fork, with the command of a program."""
    while True:
        request, handed, *_ = socket.recv_fds(asked, _REQUEST_BYTES, _MOST_DESCRIPTORS)
        if not request:
            sys.exit()
        child = os.fork()
        if child == 0:
            _leave_to_the_node()
            asked.close()
            return _become(json.loads(request), handed)
        for descriptor in handed:
            os.close(descriptor)
        os.waitpid(child, 0)


def _leave_to_the_node() -> None:
    """Become a child of the node, which adopts what has lost its parent."""
    parent = os.getpid()
    if os.fork() != 0:
        os._exit(0)
    while os.getppid() == parent:
        time.sleep(_ADOPTION_SECONDS)


def _become(request: list[Any], handed: list[int]) -> list[str]:
    """Make this process the first one of a container; returns its command."""
    node, command, directory, environment = request
    report, stdout, stderr, channel, *confinement = handed
    _wait_until_it_is_known(socket.socket(fileno=channel))
    os.setsid()
    for number, descriptor in ((1, stdout), (2, stderr)):
        os.dup2(descriptor, number)
        os.close(descriptor)
    try:
        os.chdir(directory)
        launcher.enter(node, *confinement or (0,))
    except OSError as error:
        os.write(report, (error.strerror or str(error)).encode())
        os._exit(128)
    if confinement:
        _do_what_exec_does()
    _rename(command)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _tell(environment)
    os.close(report)
    return list(command)


def _wait_until_it_is_known(channel: socket.socket) -> None:
    """Tell the node the process id, and wait until it waits for this process."""
    with channel:
        channel.send(str(os.getpid()).encode())
        if not channel.recv(_GO_BYTES):
            os._exit(0)


def _do_what_exec_does() -> None:
    """Lose the capabilities that a user namespace gives, and be visible in /proc to oneself."""
    header = struct.pack("=Ii", _CAPABILITIES_VERSION_3, 0)
    _libc.capset(header, bytes(_CAPABILITIES_BYTES))
    _libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)


def _tell(environment: dict[str, str]) -> None:
    """Give this process its environment, with what an interpreter adds that is told no locale."""
    added = {} if _LOCALES & environment.keys() else {"LC_CTYPE": os.environ.get("LC_CTYPE")}
    os.environ.clear()
    os.environ.update(environment | {name: value for name, value in added.items() if value})


def _rename(command: list[str]) -> None:
    """Show the command as that of this process, in place of the one that was copied."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    first, end = int(fields[_FIRST_ARGUMENT]), int(fields[_END_OF_ARGUMENTS])
    text = "\0".join(command).encode()[: end - first - 1]
    ctypes.memmove(first, text.ljust(end - first, b"\0"), end - first)


def _run(command: list[str]) -> None:
    """Run `python -m MODULE`, `python FILE` or a script as the interpreter would."""
    if Path(command[0]).name.startswith("python"):
        command = command[1:]
    if command[0] == "-m":
        sys.path.insert(0, str(Path.cwd()))
        sys.argv = command[1:]
        runpy.run_module(command[1], run_name="__main__", alter_sys=True)
    else:
        script = shutil.which(command[0]) or command[0]
        sys.path.insert(0, str(Path(script).parent))
        sys.argv = [script, *command[1:]]
        runpy.run_path(script, run_name="__main__")


def main() -> None:
    """Import, serve, and become a program in each fork."""
    asked = socket.socket(fileno=int(sys.argv[1]))
    node, modules = json.loads(asked.recv(_REQUEST_BYTES))
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != node:
        sys.exit()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: the node ends first
    for module in modules:
        import_module(module)
    gc.freeze()
    _run(_serve(asked))


if __name__ == "__main__":
    main()
