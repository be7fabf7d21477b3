"""The levels of isolation, and which of them this machine supports, found by trying."""

import logging
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from splitjob_kubelet.runtime import container_process, root_filesystem
from splitjob_kubelet.runtime.confinement import IMAGE_USER, Confinement, Identity, Mount
from splitjob_kubelet.runtime.container_process import Program, StartError
from splitjob_kubelet.settings import Settings

log = logging.getLogger(__name__)

_TRIAL_SECONDS = 20.0


class IsolationLevel(StrEnum):
    """From the strongest to the weakest."""

    ROOT = "root"
    """Mount namespaces and the users that pods ask for; needs root."""

    USER_NAMESPACE = "user-namespace"
    """Mount namespaces; outside, every pod's user is the one who started the node."""

    NONE = "none"
    """Paths are translated; everything runs as the user who started the node."""


class IsolationError(Exception):
    """This machine does not support the level that was asked for."""


@dataclass(frozen=True)
class Isolation:
    """The isolation of the node's containers."""

    level: IsolationLevel
    shared: tuple[Path, ...] = ()

    @property
    def confines(self) -> bool:
        """Whether containers have a root file system of their own."""
        return self.level is not IsolationLevel.NONE

    def mounts(self, programs: Path, volumes: Sequence[Mount]) -> tuple[Mount, ...]:
        """All mounts of a container.

        Args:
            programs: the directory that replaces its image.
            volumes: the pod's mounts; a directory of programs below one of them stays visible.
        """
        return (
            *root_filesystem.system_mounts(),
            *sorted(volumes, key=lambda mount: mount.target.count("/")),
            *root_filesystem.image_mounts(programs, self.shared),
        )


async def find_isolation(settings: Settings) -> Isolation:
    """Return the strongest isolation that works here, or the one in the settings.

    Raises:
        IsolationError: the one in the settings does not work here.
    """
    asked = settings.isolation
    if asked == "auto":
        as_root = os.geteuid() == 0
        levels = (
            [IsolationLevel.ROOT, IsolationLevel.USER_NAMESPACE]
            if as_root
            else [IsolationLevel.USER_NAMESPACE]
        )
    else:
        levels = [IsolationLevel(asked)]
    problems = []
    for level in levels if sys.platform == "linux" else []:
        isolation = Isolation(level, tuple(settings.shared))
        problem = await _problem(isolation, settings) if isolation.confines else None
        if problem is None:
            return isolation
        problems.append(f"{level}: {problem}")
    if asked not in ("auto", IsolationLevel.NONE):
        raise IsolationError("; ".join(problems) or f"{asked} exists on Linux only")
    if problems:
        log.warning("pods share this machine's files: %s", "; ".join(problems))
    return Isolation(IsolationLevel.NONE)


async def _problem(isolation: Isolation, settings: Settings) -> str | None:
    """Run a program of each image in a container; returns the reason if that fails."""
    for environment in settings.environments:
        root = settings.root / "trial"
        shutil.rmtree(root, ignore_errors=True)
        root_filesystem.prepare(root, "trial", settings.address)
        try:
            program = _trial(isolation, environment.bin_dir, root)
            code, output = await container_process.run(program, _TRIAL_SECONDS)
        except (StartError, TimeoutError) as error:
            return str(error) or "it takes too long"
        finally:
            shutil.rmtree(root, ignore_errors=True)
        if code != 0:
            return output.strip() or f"exit code {code}"
    return None


def _trial(isolation: Isolation, programs: Path, root: Path) -> Program:
    """The interpreter of an image, which its user must be able to read; without one, `true`."""
    python = programs / "python"
    confinement = Confinement(
        root=str(root),
        mounts=isolation.mounts(programs, ()),
        read_only_root=True,
        identity=Identity(IMAGE_USER, IMAGE_USER),
        user_namespace=isolation.level is IsolationLevel.USER_NAMESPACE,
        hostname="trial",
        directory="/",
    )
    return Program(
        arguments=[str(python), "-c", "pass"] if python.exists() else ["true"],
        environment={"PATH": f"{programs}:/usr/bin:/bin"},
        directory=Path("/"),
        container_id="process://trial/",
        mounts={},
        confinement=confinement,
    )
