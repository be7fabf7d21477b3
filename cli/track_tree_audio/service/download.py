"""`track-tree-audio download`: the stems of a completed job, as files of this machine."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from splitjob_client.files import stems_of
from track_tree_audio.service.command import ExitStatus, client, parser, run

NAME = "download"


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    return run(NAME, _parser(), _download, argv)


def _download(arguments: argparse.Namespace) -> ExitStatus:
    with client(arguments) as service:
        job = service.job(arguments.id)
        made = [stem.type for stem in stems_of(job)]
        for stem in arguments.stem or made:
            _tell(arguments, stem, service.download(job, stem, arguments.to))
        for stem in job.result.waveforms if job.result else []:
            if stem in (arguments.stem or [stem]):
                _tell(arguments, stem, service.download_waveform(job.job_id, stem, arguments.to))
    return ExitStatus.DONE


def _tell(arguments: argparse.Namespace, stem: str, path: Path) -> None:
    told = json.dumps({"stem": stem, "path": str(path)}) if arguments.json else str(path)
    print(told, flush=True)


def _parser() -> argparse.ArgumentParser:
    made = parser(
        NAME,
        "Fetch the stems of a completed job, and check them, with their waveforms where there are "
        "any; prints their paths.",
    )
    made.add_argument("id", metavar="ID")
    made.add_argument("stem", nargs="*", metavar="STEM", help="by default all")
    made.add_argument(
        "--to", type=Path, default=Path(), metavar="DIR", help="where; by default here"
    )
    return made
