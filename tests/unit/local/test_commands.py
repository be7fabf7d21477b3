"""Running a command of this machine to its end."""

import pytest

from splitjob_local.processes.commands import MOST_OUTPUT, run
from splitjob_local.processes.supervised import ProcessError


def test_the_output_of_a_command_is_returned_without_its_messages() -> None:
    assert run("sh", "-c", "echo answer; echo chatter >&2") == "answer\n"


def test_a_failed_command_is_named_with_its_message() -> None:
    with pytest.raises(ProcessError, match=r"^sh -c echo .*: no such device$"):
        run("sh", "-c", "echo progress; echo no such device >&2; exit 3")


def test_a_command_without_a_message_is_explained_by_the_end_of_its_output() -> None:
    with pytest.raises(ProcessError, match=r"the last line$") as failure:
        run("sh", "-c", "yes noise | head -c 10000; echo the last line; exit 1")
    assert len(str(failure.value)) < MOST_OUTPUT + 100
