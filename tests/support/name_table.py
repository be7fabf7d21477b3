"""Names of a test's own, in the place of what the system's resolver would say."""

import socket
from typing import Any

import pytest

NameTable = dict[str, list[list[str]]]


def name_table(monkeypatch: pytest.MonkeyPatch) -> NameTable:
    """Return a table of names: each look-up takes the next answer, the last one stays."""
    table: NameTable = {}
    real = socket.getaddrinfo

    def look_up(host: Any, port: Any, *args: Any, **more: Any) -> Any:
        answers = table.get(host)
        if answers is None:
            return real(host, port, *args, **more)
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        return [entry for one in found for entry in real(one, port, *args, **more)]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return table
