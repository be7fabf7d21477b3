"""`track-tree-audio sign`: a signed request as a line of curl, to be pasted within 5 minutes."""

import argparse
import json
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from splitjob_client import SettingsError, SigningToken
from splitjob_client.calls import base_url
from splitjob_client.credentials import from_file, tokens_from_environment
from track_tree_audio.service.command import ExitStatus, address, parser, run

NAME = "sign"
METHODS = ("GET", "HEAD", "POST", "DELETE")


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    return run(NAME, _parser(), _sign, argv)


def _sign(arguments: argparse.Namespace) -> ExitStatus:
    body = _body(arguments)
    url = base_url(address(arguments))
    target = _target(arguments.path)
    token = SigningToken(tokens(arguments))
    headers = dict(token.headers(arguments.method, target.encode("ascii"), body))
    if body:
        headers["Content-Type"] = "application/json"
    whole = f"{url}{target}"
    if arguments.json:
        print(json.dumps({"method": arguments.method, "url": whole, "headers": headers}))
        return ExitStatus.DONE
    print(shlex.join(_curl(arguments, whole, headers)))
    print("it holds for five minutes", file=sys.stderr)
    return ExitStatus.DONE


def tokens(arguments: argparse.Namespace) -> str:
    """Return the tokens that sign and verify.

    Raises:
        SettingsError: there are none.
    """
    if arguments.token_file:
        return from_file(arguments.token_file)
    return tokens_from_environment()


def _curl(arguments: argparse.Namespace, url: str, headers: dict[str, str]) -> list[str]:
    """Return the words of the command; curl is to send the path as it was signed."""
    words = ["curl", "--fail-with-body", "--globoff", "--path-as-is"]
    if arguments.method == "HEAD":
        words += ["--head"]
    elif arguments.method != "GET":
        words += ["--request", arguments.method]
    for name, value in headers.items():
        words += ["--header", f"{name}: {value}"]
    if arguments.data is not None:
        words += ["--data-raw", arguments.data]
    elif arguments.data_file:
        words += ["--data-binary", f"@{arguments.data_file}"]
    return [*words, url]


def _body(arguments: argparse.Namespace) -> bytes:
    """Return what is signed and sent.

    Raises:
        SettingsError: it cannot be read, or the method takes none.
    """
    if arguments.data is None and arguments.data_file is None:
        return b""
    if arguments.method != "POST":
        raise SettingsError(f"{arguments.method} takes no body")
    if arguments.data is not None:
        return os.fsencode(arguments.data)
    try:
        body: bytes = arguments.data_file.read_bytes()
    except OSError as error:
        raise SettingsError(f"{arguments.data_file} cannot be read: {error.strerror}") from None
    return body


def _target(path: str) -> str:
    """Return path and query as they are signed and sent.

    Raises:
        SettingsError: they cannot be sent so.
    """
    if not (path.startswith("/") and path.isascii() and path.isprintable() and " " not in path):
        raise SettingsError(
            "the path begins with /, and what is not ASCII or a space is percent-encoded in it, "
            "such as /jobs?versionId=song%2042"
        )
    if "#" in path:
        raise SettingsError("the path has a #, which curl would not send: %23")
    return path


def _parser() -> argparse.ArgumentParser:
    made = parser(NAME, "Print a signed request as a line of curl. It does not hold the token.")
    made.add_argument("method", choices=METHODS, type=str.upper)
    made.add_argument("path", metavar="PATH", help="with its query, such as /jobs?status=running")
    body = made.add_mutually_exclusive_group()
    body.add_argument("--data", metavar="JSON", help="the body, as it is to be sent")
    body.add_argument("--data-file", type=Path, metavar="FILE", help="the same, from a file")
    return made
