"""The node's command line."""

from pathlib import Path

import pytest

from splitjob_kubelet.settings import Preload, parse


def test_the_command_line(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    needed = [f"--kubeconfig={file}", f"--root={tmp_path}", "--name=n", "--port=1"]
    needed += [f"--serving-cert={file}", f"--serving-key={file}", f"--client-ca={file}"]

    given = [f"--environment=a=b/*={tmp_path}", "--capacity=x.y/z=2", "--preload=python -m x=y,z"]
    settings = parse([*needed, *given])

    assert settings.environments[0].pattern == "a=b/*"
    assert settings.capacity == {"x.y/z": "2"}
    assert settings.preloads == [Preload(("python", "-m", "x"), ("y", "z"))]
    for wrong in ("--capacity=x=many", "--environment=x=/no/such", "--label=x", "--preload=x"):
        with pytest.raises(SystemExit):
            parse([*needed, wrong])
