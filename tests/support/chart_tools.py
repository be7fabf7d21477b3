"""The chart's tools, for its tests: built once from `local/tools/helm3`, then taken from a cache.

Helm 3, since the local cluster uses Helm 4 and many others are still run with Helm 3; and
helm-unittest, which runs the suites in the chart's own `tests` folder.

`python -m tests.support.chart_tools` prints where helm-unittest is.
"""

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from splitjob_local.paths import TOOLS, cache_root
from splitjob_local.processes.locks import locked
from splitjob_local.programs.gobuild import compile_program, find_go
from splitjob_local.programs.versions import platform_name

MODULE = TOOLS / "helm3"

Say = Callable[[str], None]


@dataclass(frozen=True)
class Tool:
    """One program of the module.

    Attributes:
        name: of its folder in the cache, and for people.
        program: what the file is called.
        module: the Go module whose pinned version it has.
        package: its main package.
        version_variable: the variable that its own releases set to their version.
    """

    name: str
    program: str
    module: str
    package: str
    version_variable: str


HELM3 = Tool(
    "helm3",
    "helm",
    "helm.sh/helm/v3",
    "helm.sh/helm/v3/cmd/helm",
    "helm.sh/helm/v3/internal/version.version",
)
UNITTEST = Tool(
    "helm-unittest",
    "helm-unittest",
    "github.com/helm-unittest/helm-unittest",
    "github.com/helm-unittest/helm-unittest/cmd/helm-unittest",
    "github.com/helm-unittest/helm-unittest/internal/build.version",
)


def find_tool(tool: Tool, say: Say) -> Path:
    """Return a tool at the version pinned, building it where it has not been built yet.

    Raises:
        splitjob_local.programs.gobuild.GoBuildError: it cannot be built; the message says why.
    """
    version = pinned(tool.module)
    folder = cache_root() / "bin" / "-".join([tool.name, version, *platform_name()])
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / tool.program
    with locked(program.with_suffix(".lock"), lambda: say(f"another process builds {tool.name}")):
        if not program.exists():
            fresh = program.with_suffix(".incomplete")
            variables = {tool.version_variable: version}
            compile_program(find_go(cache_root(), say), MODULE, tool.package, fresh, variables, say)
            fresh.rename(program)
    return program


def pinned(module: str) -> str:
    """Return the version of a Go module that `local/tools/helm3` pins, such as v3.22.0."""
    found = re.search(
        rf"^\s*{re.escape(module)} (v\S+)", (MODULE / "go.mod").read_text(), re.MULTILINE
    )
    if found is None:
        raise ValueError(f"{MODULE} pins no version of {module}")
    return found[1]


if __name__ == "__main__":
    print(find_tool(UNITTEST, lambda said: print(said, file=sys.stderr)))
