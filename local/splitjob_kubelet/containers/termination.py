"""The termination message of a container that has ended."""

from collections.abc import Callable
from pathlib import Path

from splitjob_kubelet.objects import Json

MOST_BYTES = 4096


def termination_message(
    container: Json, path: Path, *, failed: bool, log_end: Callable[[], str]
) -> str | None:
    """Return the termination message of a container by the kubelet's rules.

    Args:
        container: its spec, for terminationMessagePolicy.
        path: the file behind its terminationMessagePath.
        failed: whether its exit code was not 0.
        log_end: returns the end of its log.

    Returns:
        The last 4096 bytes of the file; with FallbackToLogsOnError, the end of the log of a failed
        container that wrote no message. None if there is neither.
    """
    message = _last_bytes(path)
    fall_back = container.get("terminationMessagePolicy") == "FallbackToLogsOnError"
    if not message and failed and fall_back:
        message = log_end()
    return message or None


def _last_bytes(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(file.seek(0, 2) - MOST_BYTES, 0))
            return file.read(MOST_BYTES).decode(errors="replace")
    except OSError:
        return ""
