"""Programs in what a container sees: this machine's programs, read-only, and no other file of it.

`/dev/shm` has 64 MB there, as in a container, and nothing but the mounts given can be written to.
"""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from splitjob_kubelet.runtime import launcher
from splitjob_kubelet.runtime.confinement import Confinement, Identity, Mount
from splitjob_kubelet.runtime.isolation import Isolation, IsolationLevel
from splitjob_kubelet.runtime.root_filesystem import prepare
from splitjob_local.paths import REPOSITORY

PROGRAMS = Path(sys.executable).parent


def can_confine() -> bool:
    """Whether this machine has mount namespaces for us."""
    check = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"]), "true"]
    try:
        return subprocess.run(check, check=False, capture_output=True).returncode == 0
    except OSError:
        return False


def start_confined(
    words: Sequence[str],
    environment: Mapping[str, str],
    root: Path,
    mounts: Sequence[Mount],
    identity: Identity,
    out: int | IO[Any],
    errors: int | IO[Any],
) -> subprocess.Popen[bytes]:
    """Start a Python module; it ends with this process.

    Args:
        words: the module and its arguments.
        environment: all of it; the path of programs is added.
        root: a folder that does not exist yet.
        mounts: what it sees besides its programs.
        identity: its user.
        out: takes its output.
        errors: takes its errors.
    """
    prepare(root, "pod", "127.0.0.1")
    level = IsolationLevel.ROOT if os.geteuid() == 0 else IsolationLevel.USER_NAMESPACE
    confinement = Confinement(
        root=str(root),
        mounts=Isolation(level, (REPOSITORY,)).mounts(PROGRAMS, mounts),
        read_only_root=True,
        identity=identity,
        user_namespace=level is IsolationLevel.USER_NAMESPACE,
        hostname="pod",
        directory="/",
    ).descriptor()
    report, reported = os.pipe()
    given = [str(reported), str(os.getpid()), str(confinement)]
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", launcher.__file__, *given, "python", "-m", *words],
        env={**environment, "PATH": f"{PROGRAMS}:/usr/bin:/bin"},
        stdout=out,
        stderr=errors,
        pass_fds=[reported, confinement],
    )
    os.close(reported)
    os.close(confinement)
    with os.fdopen(report) as problem:
        said = problem.read()
    assert not said, said
    return process
