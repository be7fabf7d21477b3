"""Helm 3, for the tests of the chart: built once from `local/tools/helm3`, then taken from a cache.

The local cluster uses Helm 4; many others are still run with Helm 3.
"""

import re
from collections.abc import Callable
from pathlib import Path

from splitjob_local.gobuild import compile_program, find_go
from splitjob_local.locks import locked
from splitjob_local.programs import TOOLS, cache_root, platform_name

MODULE = TOOLS / "helm3"
PACKAGE = "helm.sh/helm/v3/cmd/helm"
VERSION = "helm.sh/helm/v3/internal/version.version"


def find_helm3(say: Callable[[str], None]) -> Path:
    """Return Helm 3 at the version pinned, building it where it has not been built yet.

    Raises:
        splitjob_local.gobuild.GoBuildError: it cannot be built; the message says why.
    """
    pinned = re.search(
        r"^\s*helm\.sh/helm/v3 (v\S+)", (MODULE / "go.mod").read_text(), re.MULTILINE
    )
    if pinned is None:
        raise ValueError(f"{MODULE} pins no version of Helm 3")
    program = cache_root() / "bin" / "-".join(["helm3", pinned[1], *platform_name()]) / "helm"
    program.parent.mkdir(parents=True, exist_ok=True)
    with locked(program.with_suffix(".lock"), lambda: say("another process builds Helm 3")):
        if not program.exists():
            fresh = program.with_suffix(".incomplete")
            compile_program(
                find_go(cache_root(), say), MODULE, PACKAGE, fresh, {VERSION: pinned[1]}, say
            )
            fresh.rename(program)
    return program
