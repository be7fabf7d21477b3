"""`python -m splitjob_local.images`: build the images, measure them and what changes in them."""

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

from splitjob_local.images.arguments import EPILOG, add_arguments, build_of, image_name
from splitjob_local.images.engine import (
    TARGETS,
    Engine,
    ImageError,
    build,
    describe,
)
from splitjob_local.images.inputs import context_files
from splitjob_local.images.layers import changed_layers, layer_sizes
from splitjob_local.paths import REPOSITORY

CHANGED_FILE = Path("common/splitjob/errors.py")  # part of every program
CHANGED_MEGABYTES = 5.0


def main() -> int:
    """Run one of the commands; 0: success, 1: it failed or a limit is exceeded."""
    arguments = _parser().parse_args()
    try:
        engine = Engine.find(arguments.engine)
        good: bool = arguments.run(engine, arguments)
    except ImageError as error:
        print(f"images: {error}", file=sys.stderr)
        return 1
    return 0 if good else 1


def build_all(engine: Engine, arguments: argparse.Namespace) -> bool:
    """Build images, print the sizes of their layers, push them if asked to."""
    for name in arguments.images:
        image, started = _tag(arguments, name), time.monotonic()
        build(engine, TARGETS[name], image, build_of(arguments))
        print(f"==> {image} in {time.monotonic() - started:.0f} s", flush=True)
        _print_layers(engine, image, compress=False)
        if arguments.push:
            engine.push(image)
    return True


def sizes(engine: Engine, arguments: argparse.Namespace) -> bool:
    """Print the sizes of the layers of images, also compressed."""
    for name in arguments.images:
        _print_layers(engine, _tag(arguments, name), compress=True)
    return True


def _print_layers(engine: Engine, image: str, *, compress: bool) -> None:
    layers = layer_sizes(engine, image, describe(engine, image).layers, compress=compress)
    rows = [(one.digest[:19], one.size, one.compressed) for one in layers]
    total = ("all", sum(one.size for one in layers), sum(one.compressed for one in layers))
    print(image)
    for title, size, compressed in (*rows, total):
        packed = f"{compressed / 1e6:9.1f} MB compressed" if compress else ""
        print(f"  {title:19} {size / 1e6:9.1f} MB {packed}".rstrip(), flush=True)


def changed(engine: Engine, arguments: argparse.Namespace) -> bool:
    """Build images before and after a change of one Python file; print the changed layers."""
    good = True
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        _copy_inputs(copy)
        for name in arguments.images:
            before, after = f"{_tag(arguments, name)}", f"{_tag(arguments, name)}-changed"
            build(engine, TARGETS[name], before, build_of(arguments, copy))
            with (copy / CHANGED_FILE).open("a") as file:
                file.write(f"CHANGED = {time.time_ns()}\n")
            build(engine, TARGETS[name], after, build_of(arguments, copy))
            layers = changed_layers(engine, before, after)
            moved = sum(one.compressed for one in layers)
            good = good and 0 < moved <= CHANGED_MEGABYTES * 1e6
            print(
                f"{name}: one Python file changed moves {len(layers)} of "
                f"{len(describe(engine, after).layers)} layers, {moved / 1e6:.2f} MB compressed, "
                f"{sum(one.size for one in layers) / 1e6:.2f} MB on disk "
                f"(at most {CHANGED_MEGABYTES:.0f} MB)",
                flush=True,
            )
    return good


def reproducible(engine: Engine, arguments: argparse.Namespace) -> bool:
    """Build images twice without the cache, and compare the digests of their layers."""
    good = True
    for name in arguments.images:
        tags = [f"{_tag(arguments, name)}-{time_}" for time_ in ("first", "second")]
        for tag in tags:
            with tempfile.TemporaryDirectory() as folder:  # another one each time
                _copy_inputs(Path(folder))
                build(engine, TARGETS[name], tag, build_of(arguments, Path(folder), cached=False))
        first, second = (describe(engine, tag) for tag in tags)
        same = [a == b for a, b in zip(first.layers, second.layers, strict=True)]
        print(f"{name}: {sum(same)} of {len(same)} layers are the same when built again")
        print(f"  image {first.id} and {second.id}", flush=True)
        good = good and all(same)
    return good


def _copy_inputs(to: Path) -> None:
    """Copy the inputs of all images, so that edits in the checkout do not disturb a build."""
    dockerfiles = {REPOSITORY / target.file for target in TARGETS.values()}
    inputs = {REPOSITORY / ".dockerignore", *dockerfiles}
    for dockerfile in dockerfiles:
        inputs.update(context_files(REPOSITORY, dockerfile.read_text()))
    for file in inputs:
        copy = to / file.relative_to(REPOSITORY)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, copy)


def _tag(arguments: argparse.Namespace, name: str) -> str:
    return f"{image_name(arguments, name)}:{arguments.tag}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m splitjob_local.images",
        description=__doc__,
        epilog=EPILOG,
    )
    commands = parser.add_subparsers(required=True)
    for name, run in {
        "build": build_all,
        "sizes": sizes,
        "changed": changed,
        "reproducible": reproducible,
    }.items():
        made = commands.add_parser(name, help=str(run.__doc__).splitlines()[0])
        made.set_defaults(run=run)
        made.add_argument("--push", action="store_true", help="push what was built")
        add_arguments(made, tag="dev")
    return parser


if __name__ == "__main__":
    sys.exit(main())
