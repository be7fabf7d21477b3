"""`track-tree-audio` itself, which only hands over to its commands."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from track_tree_audio import main as cli


@pytest.mark.parametrize("words", [["--help"], ["-h"]])
def test_help_lists_the_commands(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(words) == 0
    said = capsys.readouterr().out
    assert all(f"  {name} " in said for name in cli.COMMANDS)


@pytest.mark.parametrize("words", [[], ["unknown"]])
def test_what_is_no_command_is_refused(words: list[str]) -> None:
    assert cli.main(words) == 2


@pytest.mark.parametrize("name", list(cli.COMMANDS))
def test_every_command_is_there(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([name, "--help"])
    assert ended.value.code == 0
    assert name in capsys.readouterr().out


def test_a_command_that_an_image_does_not_hold_says_what_it_lacks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(cli.COMMANDS, "local", ("not_in_this_image.cli:main", "start a cluster"))
    assert cli.main(["local", "up"]) == 2
    assert capsys.readouterr().err == (
        "track-tree-audio: 'local' needs the Python package 'not_in_this_image', which is not "
        "installed here\n"
    )


def test_ctrl_c_leaves_no_trace_of_python(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_name: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(importlib, "import_module", interrupted)
    assert cli.main(["weights", "list"]) == 130


def test_a_reader_that_leaves_is_no_defect() -> None:
    program = Path(sys.executable).with_name("track-tree-audio")
    with subprocess.Popen(
        [program, "weights", "list"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
