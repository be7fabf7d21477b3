"""`track-tree-audio COMMAND`: each command lives in the component that does the work.

Those that call a service stand on `splitjob_client`, and are in `track_tree_audio.service`.

A component is imported only when its command is called, so that every image needs only its own
dependencies.
"""

import importlib
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NoReturn

EXIT_INTERRUPTED = 130  # as in shells: 128 + SIGINT
EXIT_UNREAD = 141  # 128 + SIGPIPE

SERVICE = "track_tree_audio.service"

# A name, the function that runs it, and what it does.
COMMANDS = {
    "submit": (f"{SERVICE}.submit:main", "ask for a song to be separated, and watch it"),
    "jobs": (f"{SERVICE}.jobs:main_jobs", "list the jobs of the service"),
    "job": (f"{SERVICE}.jobs:main_job", "show a job, or watch it"),
    "cancel": (f"{SERVICE}.actions:main_cancel", "cancel a job"),
    "retry": (f"{SERVICE}.actions:main_retry", "have a failed or canceled job done again"),
    "redeliver": (f"{SERVICE}.actions:main_redeliver", "have a final webhook sent again"),
    "download": (f"{SERVICE}.download:main", "fetch the stems of a job"),
    "erase": (f"{SERVICE}.actions:main_erase", "erase the data of a finished job"),
    "models": (f"{SERVICE}.models:main", "list the models that the service runs"),
    "sign": (f"{SERVICE}.sign:main", "print a signed request as a line of curl"),
    "verify-webhook": (
        f"{SERVICE}.verify_webhook:main",
        "say whether a webhook that came in is the service's",
    ),
    "local": (
        "splitjob_local.cli:main",
        "start a cluster on this machine with the service in it",
    ),
    "storage": (
        "splitjob_io.storage_cli:main",
        "try a bucket by hand: can this service work with it?",
    ),
    "separate": (
        "splitjob_worker.cli.separate.command:main",
        "separate songs on this machine, with the options of the demucs command",
    ),
    "weights": (
        "splitjob_worker.cli.weights:main",
        "list the models that can be separated with; fetch or check their weights",
    ),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command of the project.

    Args:
        argv: the words after the program's name; those of this process by default.

    Returns:
        The exit status: 0 on success, 2 for a command line that cannot be understood or a command
        whose packages are not installed, 130 where Ctrl-C ended it, 141 where nobody reads on, else
        what the command says.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in {"-h", "--help"}:
        print(usage())
        return 0 if words else 2
    command, *rest = words
    if command not in COMMANDS:
        print(f"track-tree-audio: there is no command {command!r}\n\n{usage()}", file=sys.stderr)
        return 2
    try:
        return _run_command(command, rest)
    except KeyboardInterrupt:  # the command does not handle it, or not yet
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # the reader of standard output has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_UNREAD


def _run_command(command: str, words: list[str]) -> int:
    module, _, function = COMMANDS[command][0].partition(":")
    try:
        component = importlib.import_module(module)
    except ModuleNotFoundError as error:  # an image holds what its own program needs
        print(
            f"track-tree-audio: {command!r} needs the Python package {error.name!r}, which is not "
            "installed here",
            file=sys.stderr,
        )
        return 2
    status: int = getattr(component, function)(words)
    return status


def run(command: Callable[[], int] = main) -> NoReturn:
    """Run a command and exit the process.

    It exits without Python's clean-up, which takes a second or more after torch was imported.
    """
    status = command()
    for stream in (sys.stdout, sys.stderr):
        with suppress(BrokenPipeError):
            stream.flush()
    os._exit(status)


def usage() -> str:
    """Return the text that lists the commands."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {what}" for name, (_, what) in COMMANDS.items()]
    return "\n".join(
        ["usage: track-tree-audio COMMAND [...]", "", *lines, "", "COMMAND --help says more."]
    )
