"""Chart values that a local cluster sets itself are not the user's to set."""

from pathlib import Path
from typing import Any

import pytest

from splitjob_local import cli
from splitjob_local.cluster.kubectl import KubectlClient
from splitjob_local.cluster.reserved_values import ReservedValueError, refuse_reserved_values
from splitjob_local.cluster.s3server import S3Access
from splitjob_local.cluster.service import Service


def keys(values: dict[str, Any], prefix: str = "") -> set[str]:
    found: set[str] = set()
    for key, value in values.items():
        nested = isinstance(value, dict)
        found |= keys(value, f"{prefix}{key}.") if nested else {prefix + key}
    return found


def test_all_that_the_cluster_sets_but_for_the_ports() -> None:
    """The ports are read from the pods, so what is printed holds for any."""
    s3 = S3Access("http://127.0.0.1:1", "id", "key", "stems")
    base = "http://127.0.0.1:2/webhooks/"
    service = Service(
        KubectlClient(Path(), {}), "n", s3, "token", base, api_port=3, operator_port=4
    )
    for key in keys(service.values()) - {"api.port", "operator.port"}:
        with pytest.raises(ReservedValueError):
            refuse_reserved_values([], [f"{key}=mine"])


@pytest.mark.parametrize(
    ("setting", "name"),
    [
        ("secrets.existingSecret=mine", "secrets"),
        ("queue.maxActiveJobs=2,storage.bucket=mine", "storage.bucket"),
        ("webhooks.allowlist={http://a,http://b}", "webhooks.allowlist"),
        ("webhooks.allowlist[0]=http://a", "webhooks.allowlist"),
        ("storage=null", "storage.endpoint, storage.region, storage.bucket"),
    ],
)
def test_set_is_refused(setting: str, name: str) -> None:
    with pytest.raises(ReservedValueError, match=f"^{name}: the cluster sets this itself"):
        refuse_reserved_values([], [setting])


@pytest.mark.parametrize("text", ["secrets: {token: mine}", "secrets:", "webhooks: none", "a: ["])
def test_a_file_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "values.yaml"
    file.write_text(text)
    with pytest.raises(ReservedValueError):
        refuse_reserved_values([file], [])


def test_others_are_the_users(tmp_path: Path) -> None:
    file = tmp_path / "values.yaml"
    file.write_text("storage: {prefix: a}\nwebhooks: {}\n")
    empty = tmp_path / "empty.yaml"
    empty.write_text("# nothing\n")
    settings = ["queue.maxActiveJobs=2", "storage.prefix=b", "models.offered={a,b}"]
    refuse_reserved_values([file, empty], settings)


@pytest.mark.parametrize("command", ["up", "demo"])
def test_the_command_says_so_before_anything_starts(
    command: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli, "end_on_signals", lambda: None)
    monkeypatch.setattr(cli, "die_with_parent", lambda _number: None)
    assert cli.main([command, "--set", "secrets.token=mine"]) == 1
    said = capsys.readouterr()
    assert "secrets: the cluster sets" in said.err
    assert "[1/8]" not in said.out
