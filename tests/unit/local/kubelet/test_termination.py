"""Termination messages."""

from pathlib import Path

import pytest

from splitjob_kubelet.containers.termination import termination_message


@pytest.mark.parametrize(
    ("content", "failed", "policy", "expected"),
    [
        (b"x" * 5000, True, "File", "x" * 4096),
        (b"", True, "File", None),
        (b"", True, "FallbackToLogsOnError", "log"),
        (b"", False, "FallbackToLogsOnError", None),
        (b"own", True, "FallbackToLogsOnError", "own"),
        (b"\xff", False, "File", "\ufffd"),
    ],
)
def test_termination_messages(
    tmp_path: Path, content: bytes, failed: bool, policy: str, expected: str | None
) -> None:
    path = tmp_path / "message"
    path.write_bytes(content)
    container = {"terminationMessagePolicy": policy}
    found = termination_message(container, path, failed=failed, log_end=lambda: "log")
    assert found == expected
