"""The command line of a node."""

import argparse
from dataclasses import dataclass, field
from pathlib import Path

from splitjob.quantity import parse_quantity


@dataclass(frozen=True)
class Preload:
    """Which commands begin as copies of a process that has imported what they need.

    Attributes:
        command: the first words of such a command: `python -m MODULE`, `python FILE`, or a script.
        modules: what is imported beforehand.
    """

    command: tuple[str, ...]
    modules: tuple[str, ...]


@dataclass(frozen=True)
class ImageEnvironment:
    """The directory of programs that replaces images whose name matches the shell pattern."""

    pattern: str
    bin_dir: Path


@dataclass(frozen=True)
class Settings:
    """The whole configuration of one node. Times are in seconds."""

    kubeconfig: Path
    root: Path
    name: str
    address: str
    port: int
    serving_cert: Path
    serving_key: Path
    client_ca: Path
    environments: list[ImageEnvironment] = field(default_factory=list)
    capacity: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    lease_seconds: int = 40
    back_off_initial: float = 10.0
    back_off_max: float = 300.0
    isolation: str = "auto"
    shared: list[Path] = field(default_factory=list)
    preloads: list[Preload] = field(default_factory=list)

    @property
    def pods_root(self) -> Path:
        return self.root / "pods"


def parse(arguments: list[str]) -> Settings:
    """Parse the command line; an invalid one ends the program with a message."""
    parser = argparse.ArgumentParser(
        prog="python -m splitjob_kubelet",
        description="A small kubelet that runs pods as processes of this machine.",
        allow_abbrev=False,
    )
    _add_identity(parser)
    _add_resources(parser)
    _add_timing(parser)
    values = vars(parser.parse_args(arguments))
    values |= {key: dict(values[key]) for key in ("capacity", "labels")}
    return Settings(**values)


def _add_identity(parser: argparse.ArgumentParser) -> None:
    """The node's name, endpoint and certificates."""
    parser.add_argument("--kubeconfig", type=_file, required=True, metavar="FILE")
    parser.add_argument("--root", type=_absolute, required=True, metavar="DIR")
    parser.add_argument("--name", required=True)
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--serving-cert", type=_file, required=True, metavar="FILE")
    parser.add_argument("--serving-key", type=_file, required=True, metavar="FILE")
    parser.add_argument("--client-ca", type=_file, required=True, metavar="FILE")
    parser.add_argument(
        "--label", type=_pair, action="append", default=[], metavar="KEY=VALUE", dest="labels"
    )


def _add_resources(parser: argparse.ArgumentParser) -> None:
    """What the node offers to pods."""
    parser.add_argument(
        "--environment",
        type=_environment,
        action="append",
        default=[],
        metavar="PATTERN=DIR",
        dest="environments",
    )
    parser.add_argument(
        "--capacity", type=_capacity, action="append", default=[], metavar="RESOURCE=N"
    )
    parser.add_argument(
        "--isolation", default="auto", choices=("auto", "root", "user-namespace", "none")
    )
    parser.add_argument(
        "--share", type=_shareable, action="append", default=[], metavar="DIR", dest="shared"
    )
    parser.add_argument(
        "--preload",
        type=_preload,
        action="append",
        default=[],
        metavar="COMMAND=MODULE[,MODULE]",
        dest="preloads",
    )


def _add_timing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--lease-seconds", type=int, default=40, metavar="SECONDS")
    parser.add_argument("--back-off-initial", type=float, default=10.0, metavar="SECONDS")
    parser.add_argument("--back-off-max", type=float, default=300.0, metavar="SECONDS")


def _file(text: str) -> Path:
    path = _absolute(text)
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"{path} is not a file")
    return path


def _shareable(text: str) -> Path:
    path = _absolute(text)
    if not path.is_dir() or path == Path("/"):
        raise argparse.ArgumentTypeError(f"{path} is not a directory below the root")
    return path


def _absolute(text: str) -> Path:
    return Path(text).absolute()


def _pair(text: str) -> tuple[str, str]:
    key, separator, value = text.partition("=")
    if not key or not separator:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return key, value


def _environment(text: str) -> ImageEnvironment:
    pattern, _, directory = text.rpartition("=")
    if not pattern or not Path(directory).is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is not PATTERN=DIR with a directory")
    return ImageEnvironment(pattern, _absolute(directory))


def _preload(text: str) -> Preload:
    command, separator, modules = text.rpartition("=")
    if not command or not separator or not modules:
        raise argparse.ArgumentTypeError(f"{text!r} is not COMMAND=MODULE[,MODULE]")
    return Preload(tuple(command.split()), tuple(modules.split(",")))


def _capacity(text: str) -> tuple[str, str]:
    resource, quantity = _pair(text)
    try:
        parse_quantity(quantity)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return resource, quantity
