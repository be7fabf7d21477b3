"""Which pods of the tests' clusters begin as copies of a process that has imported what they need.

Each is a process of its own with the pod's user, files, environment and command line, as the tests
of the process node show; what it spares is the import, which takes most of the processor time of a
pod that lives for seconds. Demos and storms have clusters without it, which start every program.
"""

import sys

from tests.support.fork_server import IMPORTED
from tests.support.operator_harness import WORKER

_COMMANDS = {
    "kopf": IMPORTED["kopf"],
    "python -m splitjob_api": IMPORTED["splitjob_api"],
    "python -m splitjob_worker": IMPORTED["splitjob_worker"],
    f"{sys.executable} {WORKER}": (
        *("splitjob.intent", "splitjob.usage", "splitjob.workload"),
        *("splitjob_worker.cancellation", "splitjob_worker.upload.targets"),
    ),
}


def preloads() -> tuple[str, ...]:
    """Return the node's arguments."""
    return tuple(f"--preload={command}={','.join(it)}" for command, it in _COMMANDS.items())
