"""Finding the programs of a local cluster, or fetching them.

In this order: installed programs (`KUBEBUILDER_ASSETS`, then PATH), if all of them report a
supported version; the cache; the official releases, each checked against its publisher's checksum;
and where that fails, a build from source with Go.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from splitjob_local.console import Say
from splitjob_local.paths import cache_root
from splitjob_local.processes.locks import locked
from splitjob_local.programs.gobuild import build_programs
from splitjob_local.programs.releases import Releases, ReleaseUnavailableError, download_programs
from splitjob_local.programs.versions import (
    ETCD,
    HELM,
    KUBERNETES,
    PROGRAMS,
    VERSITYGW,
    find_program,
    is_supported,
    pinned_versions,
    platform_name,
)

Programs = dict[str, Path]


def find_binaries(say: Say) -> Programs:
    """Return the path of every program in PROGRAMS, fetching or building them where needed.

    Args:
        say: told about steps that take a while.

    Raises:
        GoBuildError: nothing worked; says what was tried last and what to do.
    """
    folder = cache_folder()
    installed = installed_programs()
    if installed is not None:
        return installed
    if not is_complete(folder):
        fill_cache(folder, say)
    return {program.name: folder / program.name for program in PROGRAMS}


def cache_folder() -> Path:
    """Return the folder for the programs at the versions pinned now, outside the checkout."""
    pins = pinned_versions()
    key = "_".join(
        [
            f"kubernetes-{pins[KUBERNETES]}",
            f"etcd-{pins[ETCD]}",
            f"helm-{pins[HELM]}",
            f"versitygw-{pins[VERSITYGW]}",
            "-".join(platform_name()),
        ]
    )
    return cache_root() / "bin" / key


def installed_programs() -> Programs | None:
    """Return the programs installed on this machine, or None unless all are supported."""
    places = [os.environ.get("KUBEBUILDER_ASSETS", ""), *os.environ.get("PATH", "").split(":")]
    folders = [Path(place) for place in places if place]
    found: Programs = {}
    for program in PROGRAMS:
        path = find_program(program.name, folders)
        if path is None:
            return None
        found[program.name] = path
    supported = all(is_supported(found[program.name], program) for program in PROGRAMS)
    return found if supported else None


def is_complete(folder: Path) -> bool:
    """Whether a folder contains every program."""
    return all((folder / program.name).exists() for program in PROGRAMS)


def fill_cache(folder: Path, say: Say) -> None:
    """Download or build the programs into `folder` of the cache."""
    fill_atomically(folder, is_complete, fetch, say)


def fill_atomically(
    folder: Path,
    complete: Callable[[Path], bool],
    fill: Callable[[Path, Say], None],
    say: Say,
) -> None:
    """Fill a folder of the cache atomically: it appears complete or not at all.

    A second process that wants the same waits for the first instead of repeating the work.

    Args:
        folder: the folder to fill.
        complete: whether a folder has its full content.
        fill: fills an empty folder.
        say: told about steps that take a while.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)

    def waiting() -> None:
        say("another process is fetching the control plane; waiting for it")

    with locked(folder.with_name(folder.name + ".lock"), waiting):
        if complete(folder):
            return
        work = folder.with_name(folder.name + ".incomplete")
        for stale in (work, folder):
            shutil.rmtree(stale, ignore_errors=True)
        work.mkdir()
        try:
            fill(work, say)
            work.rename(folder)
        finally:
            shutil.rmtree(work, ignore_errors=True)


def fetch(folder: Path, say: Say) -> None:
    """Fill `folder` with the official releases; without them, build from source."""
    try:
        download_programs(Releases(), folder, say)
    except ReleaseUnavailableError as error:
        say(f"official releases: {error}; building from source instead")
        build_programs(folder, cache_root(), say)
