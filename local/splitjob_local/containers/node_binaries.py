"""The programs of the node, built once from the Go modules pinned in `local/tools/node`."""

import hashlib
import time
from pathlib import Path

from splitjob_local.console import Say
from splitjob_local.paths import TOOLS, cache_root
from splitjob_local.programs.binaries import Programs, fill_atomically
from splitjob_local.programs.gobuild import compile_program, find_go, kubernetes_variables
from splitjob_local.programs.versions import KUBERNETES, pinned_version, platform_name

SOURCE = TOOLS / "node"
COMBINED = "node-programs"
NAMES = ("kubelet", "kube-proxy", "network-policies")
PAUSE = "pause"


def find_node_programs(say: Say) -> Programs:
    """Return the path of each program in NAMES and of PAUSE, building them where needed.

    Raises:
        gobuild.GoBuildError: they cannot be built; says why and what to do.
    """
    folder = node_programs_folder()
    if not is_complete(folder):
        fill_atomically(folder, is_complete, build, say)
    return {name: folder / name for name in (*NAMES, PAUSE)}


def node_programs_folder() -> Path:
    """Return the folder in the cache for programs built from the present source."""
    digest = hashlib.sha256()
    for file in sorted(SOURCE.rglob("*")):
        if file.is_file():
            digest.update(file.relative_to(SOURCE).as_posix().encode() + file.read_bytes())
    key = ("node", kubernetes_version(), digest.hexdigest()[:12], *platform_name())
    return cache_root() / "bin" / "-".join(key)


def kubernetes_version() -> str:
    """Return the version of Kubernetes that the node's modules pin, without the leading v."""
    return pinned_version(KUBERNETES, SOURCE)


def is_complete(folder: Path) -> bool:
    """Whether a folder contains all programs."""
    return all((folder / name).exists() for name in (*NAMES, PAUSE))


def build(folder: Path, say: Say) -> None:
    """Build the programs into an existing folder."""
    go = find_go(cache_root(), say)
    say("building the node's programs from source: 5 to 10 minutes on two cores, once")
    started = time.monotonic()
    variables = kubernetes_variables(kubernetes_version())
    compile_program(go, SOURCE, ".", folder / COMBINED, variables, say)
    compile_program(go, SOURCE, "./pause", folder / PAUSE, {}, say)
    for name in NAMES:
        (folder / name).symlink_to(COMBINED)
    say(f"built in {(time.monotonic() - started) / 60:.1f} minutes")
