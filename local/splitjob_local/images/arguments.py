"""The arguments that the commands for images share: which images, build options, names."""

import argparse
import os
import shlex
from pathlib import Path

from splitjob_local.images.engine import PREFIX, Build
from splitjob_local.paths import REPOSITORY

__all__ = ["EPILOG", "add_arguments", "build_of", "image_name"]

IMAGES = ("api", "operator", "worker")
EPILOG = "BUILD_OPTIONS in the environment goes to the engine's build command as it is."


def add_arguments(parser: argparse.ArgumentParser, tag: str = "") -> None:
    """Add the shared arguments.

    Args:
        parser: of one command.
        tag: the default tag; blank: the command has its own.
    """
    parser.add_argument("images", nargs="*", default=IMAGES, metavar="IMAGE", help="default: all")
    parser.add_argument("--engine", default="", help="buildah, podman or docker")
    parser.add_argument("--registry", default="localhost", help="host, and path, of a registry")
    parser.add_argument("--tag", default=tag, help=f"default: {tag or 'the version'}")
    parser.add_argument("--base", default="", help="the base image, best with its digest")
    parser.add_argument("--source", default="", help="the repository's address, for the labels")
    parser.add_argument(
        "--build-arg",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="MODELS, TORCH_BACKEND",
    )


def build_of(
    arguments: argparse.Namespace, root: Path = REPOSITORY, *, cached: bool = True
) -> Build:
    """Return the options of a build; see `Build` for `root` and `cached`."""
    given = dict(one.split("=", 1) for one in arguments.build_arg)
    options = shlex.split(os.environ.get("BUILD_OPTIONS", ""))
    return Build(arguments.base, given, options, root, cached, arguments.source)


def image_name(arguments: argparse.Namespace, name: str) -> str:
    """Return the full name of an image, without its tag."""
    return f"{arguments.registry.rstrip('/')}/{PREFIX}/{name}"
