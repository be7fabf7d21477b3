"""`track-tree-audio weights`: list the separation models; fetch, check, add and export weights."""

import argparse
import json
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from splitjob.errors import Failure
from splitjob.models import ModelRecord, RegistryError, dump_registry, load_registry
from splitjob.spec import MODEL_PATTERN
from splitjob.workload import ENV_MODEL_DIR, ENV_MODEL_REGISTRY
from splitjob_worker import deferred
from splitjob_worker.engine import weights
from splitjob_worker.engine.describe import describe


class CommandError(Exception):
    """The command failed; the message says why and what to do."""


def main(argv: Sequence[str]) -> int:
    """Run `track-tree-audio weights`; 0: done, 1: failed."""
    arguments = _parser().parse_args(argv)
    try:
        arguments.run(arguments)
    except (CommandError, RegistryError, Failure) as error:
        print(f"weights: {error}", file=sys.stderr)
        return 1
    return 0


def list_models(arguments: argparse.Namespace) -> None:
    """Print each model of the registry and whether its weights are here."""
    found = []
    for record in load_registry(arguments.registry).values():
        try:
            digest = weights.find(record, arguments.to).digest
            found.append((record, digest, f"here, {digest}"))
        except Failure as failure:
            found.append((record, "", failure.message))
    if arguments.json:
        rows = [{**one.model_dump(mode="json"), "present": digest} for one, digest, _ in found]
        print(json.dumps(rows, indent=2))
        return
    print("\n\n".join(_description(record, state) for record, _, state in found))


def _description(record: ModelRecord, state: str) -> str:
    """Return what `list` says of one model."""
    bag = f", {len(record.files)} models together" if len(record.files) > 1 else ""
    need = record.memory_bytes
    memory = f"{need / 1e9:.1f} GB on a CPU" if need else "not measured"
    lines = {
        "class": f"{record.architecture}{bag}",
        "stems": ", ".join(record.stems),
        "audio": f"{record.sample_rate} Hz, segments of {record.segment_seconds:g} s",
        "memory": memory,
        "weights": state,
        "license": record.license_note,
    }
    rows = [
        textwrap.fill(text, 96, initial_indent=f"  {label:<9}", subsequent_indent=" " * 11)
        for label, text in lines.items()
    ]
    return "\n".join([record.name, *rows])


def verify(arguments: argparse.Namespace) -> None:
    """Check the digests of the models named; of all that are here if none is named."""
    registry = load_registry(arguments.registry)
    names = arguments.name or [
        name
        for name, record in registry.items()
        if record.embedded or (arguments.to and (arguments.to / f"{name}.yaml").is_file())
    ]
    for name in names:
        found = weights.find(_record(registry, name), arguments.to)
        pinned = "as pinned" if _is_pinned(found) else "not pinned anywhere"
        print(f"{name}: {found.digest} ({pinned}), {found.paths[0].parent}")


def fetch(arguments: argparse.Namespace) -> None:
    """Download a model's weights from Demucs' own source, and pin what came."""
    record = _record(load_registry(arguments.registry), arguments.name)
    if record.embedded:
        print(f"{record.name} is part of this package: there is nothing to fetch")
        return
    if arguments.to is None:
        raise CommandError(f"say where to put the weights: --to DIR, or set {ENV_MODEL_DIR}")
    try:
        _fetch_into(arguments.to, record)
    except OSError as error:
        raise CommandError(f"cannot write to {arguments.to}: {error.strerror}") from None
    for file in record.files:
        weights.read_header(arguments.to / file.name)
    print(f"{record.name}: {weights.find(record, arguments.to).digest} in {arguments.to}")


def _fetch_into(folder: Path, record: ModelRecord) -> None:
    """Put a model's files and their digests into a folder; each gets its name once complete."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in [f"{record.name}.yaml", *(file.name for file in record.files)]:
        part = folder / f"{name}.part"
        try:
            shutil.copyfile(_download(record, name, folder), part)
            part.replace(folder / name)
        finally:
            part.unlink(missing_ok=True)
    digests = {file.name: weights.sha256(folder / file.name) for file in record.files}
    lines = "".join(f"{digest}  {name}\n" for name, digest in digests.items())
    (folder / f"{record.name}.sha256").write_text(lines, encoding="utf-8")


def add(arguments: argparse.Namespace) -> None:
    """Describe weights in Demucs' layout in a registry file, digests included."""
    target: Path | None = arguments.registry
    if target is None:
        raise CommandError("say which registry file to write: --registry FILE")
    if not re.fullmatch(MODEL_PATTERN, arguments.name):
        raise CommandError(
            f"{arguments.name!r} cannot be a model's name: at most 63 letters, digits, _ and -, "
            "the first of them a letter or digit"
        )
    record = describe(
        arguments.name, arguments.source, arguments.license_note, embedded=arguments.embedded
    )
    _add_to(target, record)
    print(f"{record.name}: {record.digest} added to {target}")


def _add_to(registry: Path, record: ModelRecord) -> None:
    """Write a record into a registry file, which is never seen half written."""
    part = registry.with_name(f"{registry.name}.part")
    try:
        records = load_registry(registry) if registry.exists() else {}
        records[record.name] = record
        part.write_text(dump_registry(records), encoding="utf-8")
        part.replace(registry)
    except OSError as error:
        raise CommandError(f"cannot write {registry}: {error.strerror}") from None
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def export_th(arguments: argparse.Namespace) -> None:
    """Write a model's weights as the `demucs` command reads them from a folder."""
    record = _record(load_registry(arguments.registry), arguments.name)
    found = weights.find(record, arguments.to)
    try:
        for path in deferred.export_th(found, arguments.out):
            print(path)
    except OSError as error:
        raise CommandError(f"cannot write to {arguments.out}: {error.strerror}") from None
    print(f"try: demucs --repo {arguments.out} -n {record.name} SONG")


def _download(record: ModelRecord, name: str, folder: Path) -> Path:
    """Return where the Hugging Face client put one file of a model."""
    try:
        return deferred.download_weights(record, name)
    except weights.DownloadError as error:
        raise CommandError(
            f"{error}. Where it cannot be reached: fetch the file elsewhere and "
            f"put it into {folder}; `track-tree-audio weights verify {record.name}` checks it"
        ) from error


def _record(registry: dict[str, ModelRecord], name: str) -> ModelRecord:
    if name not in registry:
        raise CommandError(f"there is no model {name}; known are {', '.join(registry)}")
    return registry[name]


def _is_pinned(found: weights.Weights) -> bool:
    pins = weights.read_pins(found.paths[0].with_name(f"{found.record.name}.sha256"))
    return found.record.digest is not None or all(path.name in pins for path in found.paths)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="track-tree-audio weights",
        description="The separation models of this installation.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    listing = _command(
        commands, "list", list_models, "list the models and whether their weights are here"
    )
    listing.add_argument("--json", action="store_true", help="for programs")
    fetching = _command(
        commands, "fetch", fetch, "download a model's weights from Demucs' own source"
    )
    fetching.add_argument("name", help="the model, e.g. htdemucs")
    checking = _command(commands, "verify", verify, "check the weights against their digests")
    checking.add_argument("name", nargs="*", help="by default all whose weights are here")
    exporting = _command(
        commands,
        "export-th",
        export_th,
        "write a model's weights in the form that `demucs --repo` reads",
    )
    exporting.add_argument("name", help="the model, e.g. demo")
    exporting.add_argument("out", type=Path, metavar="OUT", help="a folder")
    for command in (listing, fetching, checking, exporting):
        _add_weights_folder(command)
    adding = _command(
        commands, "add", add, "describe further weights of Demucs' layout in a registry file"
    )
    _add_description(adding)
    return parser


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    run: Callable[[argparse.Namespace], None],
    text: str,
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=text, description=text)
    command.set_defaults(run=run)
    command.add_argument(
        "--registry",
        type=Path,
        default=_path(ENV_MODEL_REGISTRY),
        help=f"a registry file; by default {ENV_MODEL_REGISTRY}, else the built-in one",
    )
    return command


def _add_weights_folder(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--to",
        "--dir",
        metavar="DIR",
        type=Path,
        default=_path(ENV_MODEL_DIR),
        help=f"the folder of weights; by default {ENV_MODEL_DIR}",
    )


def _add_description(command: argparse.ArgumentParser) -> None:
    command.add_argument("name", help="what a request's aiModel will say")
    command.add_argument(
        "--from", dest="source", type=Path, required=True, metavar="DIR", help="the weights"
    )
    command.add_argument("--license-note", required=True, help="shown by GET /models")
    command.add_argument("--embedded", action="store_true", help="they are part of this package")


def _path(variable: str) -> Path | None:
    value = os.environ.get(variable)
    return Path(value) if value else None
