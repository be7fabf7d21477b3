"""The last step before a container's program: run as a script, in an interpreter of its own.

It makes the process die with the node, applies the confinement, then executes the program.
Arguments: the descriptor for reporting a failed start (closed by a successful one), the process id
of the expected parent, the descriptor with the confinement (written by `confinement.py`; 0 for
none), and the program with its arguments. It imports as little as possible, because every start of
a container waits for it.
"""

import contextlib
import ctypes
import fcntl
import marshal
import os
import signal
import stat
import sys
import termios
from typing import Any

Spec = dict[str, Any]

_PR_SET_PDEATHSIG = 1
_PR_CAPBSET_DROP = 24
_PR_SET_NO_NEW_PRIVS = 38
_KILLED_BEFORE_THE_NODE = "500"
_MOST_CAPABILITIES = 64

_CLONE_NEWNS = 0x00020000
_CLONE_NEWUTS = 0x04000000
_CLONE_NEWUSER = 0x10000000
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 1, 2, 4, 8
_MS_REMOUNT, _MS_BIND, _MS_REC, _MS_PRIVATE = 0x20, 0x1000, 0x4000, 0x40000
_MNT_DETACH = 2
_OLD_ROOT = "/.machine"
_SHARED_MEMORY = b"mode=1777,size=64m"


def _libc() -> ctypes.CDLL:
    library = ctypes.CDLL(None, use_errno=True)
    if sys.platform == "linux":
        text = ctypes.c_char_p
        library.mount.argtypes = [text, text, text, ctypes.c_ulong, text]
    return library


_LIBC = _libc()


def _call(what: str, function: str, *arguments: object) -> None:
    """Call the C library.

    Raises:
        OSError: it failed; the message begins with `what`.
    """
    if getattr(_LIBC, function)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _die_with(parent: int) -> None:
    if sys.platform == "linux":
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def _prefer_for_out_of_memory() -> None:
    with (
        contextlib.suppress(OSError),
        open("/proc/self/oom_score_adj", "w", encoding="ascii") as score,
    ):
        score.write(_KILLED_BEFORE_THE_NODE)


def _take_terminal() -> None:
    """Make standard input the controlling terminal, if it is a terminal, so that Ctrl-C works."""
    if os.isatty(0):
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _confine(spec: Spec) -> None:
    """Enter or create the container's namespaces, then become its user."""
    os.umask(0o022)
    if spec["join"]:
        _enter_namespaces(spec["join"], user_namespace=spec["user_namespace"])
    else:
        _unshare_namespaces(spec)
        _build_root(spec)
        _call("setting the host name", "sethostname", *_sized(spec["hostname"]))
    os.makedirs(spec["directory"], exist_ok=True)
    _drop_privileges(spec)
    os.chdir(spec["directory"])


def _sized(text: str) -> tuple[bytes, int]:
    return text.encode(), len(text.encode())


def _enter_namespaces(pid: int, *, user_namespace: bool) -> None:
    """Enter the namespaces of the container's first process."""
    kinds = ["user", "mnt", "uts"] if user_namespace else ["mnt", "uts"]
    opened = [os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY) for kind in kinds]
    for descriptor in opened:
        _call("entering the container", "setns", descriptor, 0)
        os.close(descriptor)


def _unshare_namespaces(spec: Spec) -> None:
    """Create new namespaces: the machine does not see what is mounted from here on."""
    user, group = os.geteuid(), os.getegid()
    kinds = _CLONE_NEWNS | _CLONE_NEWUTS
    if spec["user_namespace"]:
        kinds |= _CLONE_NEWUSER
    _call("leaving the namespaces of the machine", "unshare", kinds)
    if spec["user_namespace"]:
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/uid_map", f"{spec['user']} {user} 1")
        _write("/proc/self/gid_map", f"{spec['group']} {group} 1")
    _mount("making mounts private", "", "/", _MS_REC | _MS_PRIVATE)


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def _mount(what: str, source: str, target: str, flags: int) -> None:
    _call(what, "mount", source.encode(), target.encode(), None, flags, None)


def _build_root(spec: Spec) -> None:
    """Make the container's directory the root, with all its mounts."""
    root = spec["root"]
    _mount("mounting the root", root, root, _MS_BIND | _MS_REC)
    old = root + _OLD_ROOT
    os.mkdir(old)
    os.chdir(root)
    _call("changing the root", "pivot_root", root.encode(), old.encode())
    os.chdir("/")
    for source, target, _ in spec["mounts"]:
        _mount_one(source, target)
    # After all mounts: a mount point may lie in a file system that becomes read-only.
    for _, target, read_only in spec["mounts"]:
        if read_only:
            _make_read_only(target)
    _call("unmounting the machine's files", "umount2", _OLD_ROOT.encode(), _MNT_DETACH)
    os.rmdir(_OLD_ROOT)
    if spec["read_only_root"]:
        _make_read_only("/")


def _mount_one(source: str, target: str) -> None:
    what = f"mounting {source or 'memory'} at {target}"
    if not source:
        os.makedirs(target, exist_ok=True)
        flags = _MS_NOSUID | _MS_NODEV | _MS_NOEXEC
        _call(what, "mount", b"shm", target.encode(), b"tmpfs", flags, _SHARED_MEMORY)
        return
    there = _OLD_ROOT + source
    _make_mount_point(target, directory=os.path.isdir(there))
    _mount(what, there, target, _MS_BIND | _MS_REC)


def _make_mount_point(target: str, *, directory: bool) -> None:
    """Create a mount point, unless it exists."""
    if directory:
        os.makedirs(target, exist_ok=True)
    elif not os.path.lexists(target):
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))


def _make_read_only(target: str) -> None:
    # In a user namespace a remount must keep these flags.
    kept = os.statvfs(target).f_flag & (_MS_NOSUID | _MS_NODEV | _MS_NOEXEC)
    flags = _MS_REMOUNT | _MS_BIND | _MS_RDONLY | kept
    _mount(f"making {target} read-only", "", target, flags)


def _drop_privileges(spec: Spec) -> None:
    """Become the container's user, with no capabilities and no way to gain any."""
    for capability in range(_MOST_CAPABILITIES):
        if _LIBC.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
            break
    if not spec["user_namespace"]:  # there the uid map does it
        _own_standard_streams(spec["user"])
        os.setgroups(spec["groups"])
        os.setresgid(spec["group"], spec["group"], spec["group"])
        os.setresuid(spec["user"], spec["user"], spec["user"])
    _LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def _own_standard_streams(user: int) -> None:
    """Let the program open /dev/stdout and the like by name."""
    for descriptor in (0, 1, 2):
        if stat.S_ISFIFO(os.fstat(descriptor).st_mode) or os.isatty(descriptor):
            os.fchown(descriptor, user, -1)


def _read(descriptor: int) -> Spec:
    with os.fdopen(descriptor, "rb") as file:
        spec: Spec = marshal.load(file)  # noqa: S302 - written by the node
    return spec


def enter(parent: int, confinement: int) -> None:
    """Make this process a container's first one.

    Args:
        parent: process id of the node.
        confinement: the descriptor of the confinement; 0: none.

    Raises:
        OSError: it cannot be confined.
    """
    _die_with(parent)
    _prefer_for_out_of_memory()
    _take_terminal()
    if confinement:
        _confine(_read(confinement))
        _die_with(parent)  # a change of user resets it


def main() -> None:
    report, parent, confinement = map(int, sys.argv[1:4])
    program = sys.argv[4:]
    os.set_inheritable(report, False)
    try:
        enter(parent, confinement)
        # The interpreter ignores these signals; the program must start with the defaults.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        if hasattr(signal, "SIGXFSZ"):
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        _execute(program)
    except OSError as error:
        os.write(report, (error.strerror or str(error)).encode())
        os._exit(128)


def _execute(program: list[str]) -> None:
    try:
        os.execvp(program[0], program)  # noqa: S606
    except OSError as error:
        number = error.errno or 0
        raise OSError(number, f'exec: "{program[0]}": {os.strerror(number)}') from None


if __name__ == "__main__":
    main()
