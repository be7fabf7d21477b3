"""Running a command of this machine to its end."""

import subprocess

from splitjob_local.processes.supervised import ProcessError

MOST_OUTPUT = 2000


def run(*command: str) -> str:
    """Run a command and return what it printed on standard output.

    Raises:
        ProcessError: it failed; with the end of what it printed.
    """
    answer = subprocess.run(command, check=False, capture_output=True, text=True)
    if answer.returncode != 0:
        printed = (answer.stderr.strip() or answer.stdout.strip())[-MOST_OUTPUT:]
        raise ProcessError(f"{' '.join(command)}: {printed}")
    return answer.stdout
