"""`track-tree-audio models`: the models that a service runs."""

import argparse
import json
import shutil
import textwrap
from collections.abc import Iterable, Sequence

from splitjob_client import Model
from track_tree_audio.service.command import ExitStatus, client, parser, run
from track_tree_audio.service.output import clean, table

NAME = "models"
COLUMNS = ("MODEL", "STEMS", "RATE", "WEIGHTS")
INCLUDED, NEEDED = "included", "needed"
WIDEST = 100
ABOUT_WEIGHTS = (
    f"weights {NEEDED}: they are there if whoever runs this service has put them there; a job "
    "for a model without its weights ends with model_unavailable"
)


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    return run(NAME, parser(NAME, "List the models that the service runs."), _models, argv)


def _models(arguments: argparse.Namespace) -> ExitStatus:
    with client(arguments) as service:
        models = service.models()
    if arguments.json:
        listed = [model.model_dump(mode="json", by_alias=True) for model in models]
        print(json.dumps({"models": listed}, ensure_ascii=False))
        return ExitStatus.DONE
    print(table(COLUMNS, map(_row, models)))
    width = min(WIDEST, shutil.get_terminal_size((WIDEST, 0)).columns)
    if not all(model.embedded for model in models):
        print(f"\n{textwrap.fill(ABOUT_WEIGHTS, width)}")
    for note, names in _by_licence(models):
        told = f"licence of {', '.join(names)}: {note}"
        print(f"\n{textwrap.fill(told, width, subsequent_indent='  ')}")
    return ExitStatus.DONE


def _row(model: Model) -> tuple[str, ...]:
    weights = INCLUDED if model.embedded else NEEDED
    return clean(model.name), clean(", ".join(model.stems)), f"{model.sample_rate} Hz", weights


def _by_licence(models: Iterable[Model]) -> list[tuple[str, list[str]]]:
    """Return what is known of each licence, and the models that come under it."""
    names: dict[str, list[str]] = {}
    for model in models:
        if note := clean(model.license_note):
            names.setdefault(note, []).append(clean(model.name))
    return list(names.items())
