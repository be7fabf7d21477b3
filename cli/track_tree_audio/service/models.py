"""`track-tree-audio models`: the models that a service runs."""

import argparse
import json
from collections.abc import Sequence

from track_tree_audio.service.command import ExitStatus, client, parser, run
from track_tree_audio.service.output import clean, table

NAME = "models"


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
    rows = [
        (one.name, f"{one.sample_rate} Hz", ", ".join(one.stems), clean(one.license_note))
        for one in models
    ]
    print(table(("MODEL", "RATE", "STEMS", "LICENCE"), rows))
    return ExitStatus.DONE
