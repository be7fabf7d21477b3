"""Landlock: a process irrevocably gives up the files and the network that it does not need.

The decoder runs as the worker's own user, and could otherwise read the URLs in the pod's Secret
volume. Where the kernel has no Landlock (before 5.13, or not Linux), only the other limits apply.

Source: https://docs.kernel.org/userspace-api/landlock.html. The system calls have the same numbers
on every architecture.
"""

import ctypes
import os
import site
import struct
import sys
from collections.abc import Iterable
from pathlib import Path

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG = 1
_RULE_PATH_BENEATH = 1

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1, 2, 4, 8
_TRUNCATE = 1 << 14
# How many kinds of file access each version of the interface controls.
_FILE_ACCESS_BITS = {1: 13, 2: 14, 3: 15, 4: 15}
_FILE_ACCESS_BITS_NEWER = 16
_CONNECT_AND_BIND_TCP = 3


def version() -> int:
    """Return the kernel's version of Landlock, 0 for none."""
    if sys.platform != "linux":
        return 0
    return max(_system_call(_CREATE_RULESET, None, 0, _VERSION_FLAG), 0)


def restrict(readable: Iterable[Path], writable: Iterable[Path]) -> bool:
    """Give up all files but these, and the network; call after `forbid_new_privileges`.

    Args:
        readable: files and folders that may still be read, besides Python's own.
        writable: files that may still be written; they must exist.

    Returns:
        Whether the kernel enforces it.
    """
    interface = version()
    if interface == 0:
        return False
    handled = (1 << _FILE_ACCESS_BITS.get(interface, _FILE_ACCESS_BITS_NEWER)) - 1
    network = _CONNECT_AND_BIND_TCP if interface >= 4 else 0
    attributes = struct.pack("<QQ", handled, network)
    ruleset = _system_call(_CREATE_RULESET, attributes, len(attributes) if network else 8, 0)
    if ruleset < 0:
        return False
    for path in [*readable, *_pythons_own()]:
        folder = EXECUTE | READ_FILE | READ_DIR
        _allow(ruleset, path, (folder if path.is_dir() else READ_FILE) & handled)
    for path in writable:
        _allow(ruleset, path, (READ_FILE | WRITE_FILE | _TRUNCATE) & handled)
    enforced = _system_call(_RESTRICT_SELF, ruleset, 0) == 0
    os.close(ruleset)
    return enforced


def _pythons_own() -> list[Path]:
    """Return what imports and tracebacks have to read, and the system's libraries."""
    paths = {
        sys.prefix,
        sys.base_prefix,
        site.getusersitepackages(),
        str(Path(__file__).parents[1]),
        "/usr/lib",
        "/usr/lib64",
        "/lib",
        "/lib64",
        "/etc/ld.so.cache",
        *_named("PYTHONPATH"),
        *_named("LD_LIBRARY_PATH"),
    }
    return [Path(path) for path in sorted(paths) if Path(path).exists()]


def _named(variable: str) -> list[str]:
    """Return the folders that a variable of the environment lists."""
    return [folder for folder in os.environ.get(variable, "").split(os.pathsep) if folder]


def _allow(ruleset: int, path: Path, access: int) -> None:
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        rule = struct.pack("<Qi", access, descriptor)
        _system_call(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, rule, 0)
    finally:
        os.close(descriptor)


def _system_call(number: int, *arguments: bytes | int | None) -> int:
    call = ctypes.CDLL(None, use_errno=True).syscall
    call.restype = ctypes.c_long
    result: int = call(
        ctypes.c_long(number),
        *(ctypes.c_long(one) if isinstance(one, int) else one for one in arguments),
    )
    return result
