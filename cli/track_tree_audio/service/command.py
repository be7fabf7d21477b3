"""What the commands have in common: the service they call, how they fail, what they return.

The exit status says what a script needs to know:

0  done; with --watch: the job completed
1  something else went wrong: an answer that makes no sense, a file that cannot be written
2  the command line or the settings cannot be used
3  not let in (401, 403); of verify-webhook: not genuine
4  there is no such job or stem, or none any more (404, 410)
5  the service does not take the request as it is (400, 409, 413, 422), such as a download of a
   job that has not completed; or the installation does without what is asked for (501)
6  nobody answers, too busy, or not ready; try later (429, 502, 503, 504)
7  the job that was watched failed
8  the job that was watched was canceled
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from enum import IntEnum
from pathlib import Path

from splitjob_client import (
    AnswerError,
    BusyError,
    Client,
    ClientError,
    ForbiddenError,
    GoneError,
    JobDeletedError,
    KubernetesToken,
    NotCompletedError,
    NotFoundError,
    NotOfferedError,
    SettingsError,
    SigningToken,
    StemNotFoundError,
    UnauthorizedError,
    UnavailableError,
    UnreachableError,
)
from splitjob_client.credentials import (
    ENV_KUBERNETES_TOKEN,
    ENV_TOKEN,
    ENV_URL,
    Credentials,
    from_environment,
    from_file,
    url_from_environment,
)

SETTINGS = f"""\
settings, by environment:
  {ENV_URL:<18} the address of the service, such as https://stems.example.com
  {ENV_TOKEN:<18} the token that signs; of several, separated by commas, the first
  {ENV_KUBERNETES_TOKEN:<18} instead: a token of the cluster (kubectl create token NAME)"""


class ExitStatus(IntEnum):
    """What a command returns; the module's text says what each one means."""

    DONE = 0
    OTHER = 1
    USAGE = 2
    NOT_LET_IN = 3
    NOT_FOUND = 4
    REFUSED = 5
    TRY_LATER = 6
    FAILED = 7
    CANCELED = 8


EXIT_STATUSES = "exit status:\n" + "\n".join(
    f"  {line}" for line in __doc__.splitlines() if line[:1].isdigit() or line.startswith("   ")
)
_NOT_THERE = (NotFoundError, GoneError, StemNotFoundError, JobDeletedError)
_LATER = (BusyError, UnavailableError, UnreachableError)

Run = Callable[[argparse.Namespace], ExitStatus]


def parser(name: str, description: str, *, calls: bool = True) -> argparse.ArgumentParser:
    """Return the parser of a command.

    Args:
        name: of the command.
        description: what it does.
        calls: whether it calls the service: with its address and either token.
    """
    made = argparse.ArgumentParser(
        prog=f"track-tree-audio {name}",
        description=description,
        epilog=f"{SETTINGS}\n\n{EXIT_STATUSES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--json", action="store_true", help="for programs")
    group = made.add_argument_group("the service")
    group.add_argument("--token-file", type=Path, help=f"instead of {ENV_TOKEN}", metavar="FILE")
    if calls:
        group.add_argument("--url", help=f"instead of {ENV_URL}")
        group.add_argument(
            "--kubernetes-token-file",
            type=Path,
            help=f"instead of {ENV_KUBERNETES_TOKEN}",
            metavar="FILE",
        )
    return made


def run(name: str, parser: argparse.ArgumentParser, do: Run, argv: Sequence[str]) -> int:
    """Run a command; what goes wrong is one line on standard error.

    Args:
        name: of the command.
        parser: of its words.
        do: what it does.
        argv: its words.
    """
    arguments = parser.parse_args(argv)
    try:
        return do(arguments)
    except ClientError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return status_of(error)


def status_of(error: ClientError) -> ExitStatus:
    """Return what a command returns that ends in this error."""
    if isinstance(error, SettingsError):
        return ExitStatus.USAGE
    if isinstance(error, UnauthorizedError | ForbiddenError):
        return ExitStatus.NOT_LET_IN
    if isinstance(error, _NOT_THERE):
        return ExitStatus.NOT_FOUND
    if isinstance(error, _LATER):
        return ExitStatus.TRY_LATER
    if isinstance(error, NotCompletedError | NotOfferedError):
        return ExitStatus.REFUSED
    if isinstance(error, AnswerError) and error.status < 500:
        return ExitStatus.REFUSED
    return ExitStatus.OTHER


def client(arguments: argparse.Namespace) -> Client:
    """Return the client that the options and the environment describe.

    Raises:
        SettingsError: something is missing, or cannot be used.
    """
    return Client(address(arguments), _credentials(arguments))


def address(arguments: argparse.Namespace) -> str:
    """Return the address of the service.

    Raises:
        SettingsError: it is not given.
    """
    url: str | None = arguments.url
    return url or url_from_environment()


def _credentials(arguments: argparse.Namespace) -> Credentials:
    if arguments.token_file and arguments.kubernetes_token_file:
        raise SettingsError("give one of --token-file and --kubernetes-token-file, not both")
    if arguments.token_file:
        return SigningToken(from_file(arguments.token_file))
    if arguments.kubernetes_token_file:
        path = arguments.kubernetes_token_file
        return KubernetesToken(lambda: from_file(path))
    return from_environment()
