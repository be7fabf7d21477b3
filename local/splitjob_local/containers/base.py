"""The base image of the project's images.

Where a registry can be reached it is the official Python image. Elsewhere a stand-in is made from
Debian's packages: the same distribution and Python version, for trying the service, not for
shipping it.
"""

import re
import shutil
import socket
from pathlib import Path

from splitjob_local.console import Say
from splitjob_local.containers.builder import Builder
from splitjob_local.containers.requirements import RequirementError
from splitjob_local.processes.commands import run

OFFICIAL = "docker.io/library/python:3.13-slim"
STAND_IN = "localhost/track-tree-audio/python:3.13-debian"
CONNECT_SECONDS = 5.0
PULL_SECONDS = 300.0
PACKAGES = "ca-certificates,python3,python3-venv,python3-pip"
SUITE = "trixie"
APT_SOURCES = Path("/etc/apt")
DOCKERFILE = """FROM scratch
ADD rootfs.tar /
ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin
CMD ["python3"]
"""
# Left out of `python:slim` as well.
LEFT_OUT = ("var/lib/apt/lists", "var/cache/apt", "usr/share/doc", "usr/share/man")


def find_base(builder: Builder, say: Say) -> str:
    """Return the name of a base image that is in the builder's store.

    Raises:
        RequirementError: no registry is reached, and debootstrap is not there.
        ProcessError, ImageError: debootstrap or the engine failed.
    """
    for image in (OFFICIAL, STAND_IN):
        if builder.image_id(image):
            return image
    if is_reachable(OFFICIAL.partition("/")[0]):
        say(f"fetching the base image {OFFICIAL}")
        if builder.pull(OFFICIAL, PULL_SECONDS):
            return OFFICIAL
    say("no registry is reached: making the base image from Debian's packages (2 minutes, once)")
    make_stand_in(builder)
    return STAND_IN


def is_reachable(host: str) -> bool:
    """Whether a registry accepts connections; builders retry for minutes before they give up."""
    try:
        with socket.create_connection((host, 443), timeout=CONNECT_SECONDS):
            return True
    except OSError:
        return False


def make_stand_in(builder: Builder) -> None:
    """Build the stand-in from Debian's packages."""
    if shutil.which("debootstrap") is None:
        raise RequirementError(
            f"{OFFICIAL} cannot be fetched, and there is no debootstrap to make a base image "
            "with. On Debian and Ubuntu:\n  apt install debootstrap"
        )
    context = builder.folder / "base"
    shutil.rmtree(context, ignore_errors=True)
    root = context / "root"
    root.mkdir(parents=True)
    try:
        _bootstrap(root)
        _tidy(root)
        run("tar", "--create", "--numeric-owner", f"--directory={root}", "--file",
             str(context / "rootfs.tar"), ".")  # fmt: skip
        shutil.rmtree(root)
        (context / "Dockerfile").write_text(DOCKERFILE)
        builder.build_plain(context / "Dockerfile", STAND_IN)
    finally:
        shutil.rmtree(context, ignore_errors=True)


def _bootstrap(root: Path) -> None:
    mirror = debian_mirror(_apt_sources())
    command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, str(root)]
    run(*command, *([mirror] if mirror else []))


def _tidy(root: Path) -> None:
    """Make it like the official image: pip may install, `python` exists, no package lists."""
    for place in (root / "usr" / "lib").glob("python3*/EXTERNALLY-MANAGED"):
        place.unlink()
    for folder in LEFT_OUT:
        shutil.rmtree(root / folder, ignore_errors=True)
        (root / folder).mkdir(parents=True)
    python = root / "usr" / "bin" / "python"
    if not python.exists():
        python.symlink_to("python3")


def _apt_sources() -> str:
    files = [APT_SOURCES / "sources.list", *sorted((APT_SOURCES / "sources.list.d").glob("*"))]
    return "\n".join(file.read_text(errors="replace") for file in files if file.is_file())


def debian_mirror(sources: str) -> str | None:
    """Return the mirror that apt's configuration names first, in either of its formats.

    None where there is none: debootstrap then uses its default.
    """
    found = re.search(r"^(?:URIs:|deb(?:\s+\[[^\]]*\])?)\s+(\S+)", sources, re.MULTILINE)
    return found[1] if found else None
