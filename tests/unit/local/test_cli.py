"""`track-tree-audio local`: what it does with the cluster that it has started."""

import io
from types import SimpleNamespace
from typing import Any, Self

import pytest

from splitjob_local import cli


class Cluster:
    """A cluster that is up."""

    options = SimpleNamespace(namespace="audio")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def connection(self) -> dict[str, str]:
        return {"token": "secret"}

    def environment(self) -> dict[str, str]:
        return {
            "KUBECONFIG": "/tmp/kubeconfig",
            "PATH": "/venv/bin:/programs:/usr/bin",
            "API_URL": "http://127.0.0.1:8080",
            "NAMESPACE": "audio",
            "DEMUCSSVC_TOKEN": "secret",
        }


@pytest.mark.parametrize("command", ["shell", "up"])
def test_who_has_no_terminal_is_told_that_there_is_no_shell_and_what_instead(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    kept: list[Any] = []
    monkeypatch.setattr(cli, "cluster_class", lambda **_: lambda *_: Cluster())
    monkeypatch.setattr(cli, "keep_running", kept.append)
    for of_the_process in ("die_with_parent", "ignore_further_signals"):
        monkeypatch.setattr(cli, of_the_process, lambda *_: None)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    cli.run(cli.parser().parse_args([command]))
    assert len(kept) == 1, "the cluster stays up"
    said = capsys.readouterr()
    assert said.out == '{"token": "secret"}\n'
    assert ("there is no shell" in said.err) == (command == "shell")
    if command == "shell":
        assert "export KUBECONFIG=/tmp/kubeconfig PATH=/venv/bin:/programs:$PATH" in said.err
        assert "export API_URL=http://127.0.0.1:8080 DEMUCSSVC_TOKEN=" in said.err
        assert "track-tree-audio local up" in said.err
        assert "secret" not in said.err
