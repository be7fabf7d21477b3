"""Logs, volumes on disk, termination messages, limits: what the node reads and writes."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitjob_kubelet.containers.probes import ProbeError, follow
from splitjob_kubelet.containers.termination import termination_message
from splitjob_kubelet.pods.ephemeral_storage import eviction, has_storage_limits
from splitjob_kubelet.runtime import logs
from splitjob_kubelet.runtime.logs import LogQuery, LogWriter, last_output, read_log, tail_offset
from splitjob_kubelet.runtime.memory import seconds_to_next_look
from splitjob_kubelet.runtime.volume_store import is_current, write_files
from splitjob_kubelet.runtime.volumes import File
from splitjob_kubelet.settings import parse


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def text(path: Path, **query: Any) -> str:
    return b"".join([piece async for piece in read_log(path, LogQuery(**query))]).decode()


async def written(path: Path, *pieces: bytes) -> None:
    writer = LogWriter(path)
    for piece in pieces:
        writer.write("stdout", piece)
    writer.close()


@pytest.mark.anyio
async def test_output_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    await written(path, b"on", b"e\ntwo\n\nth", b"ree")

    assert await text(path) == "one\ntwo\n\nthree"
    assert await text(path, tail_lines=2) == "\nthree"
    assert await text(path, tail_lines=0) == ""
    assert await text(path, limit_bytes=5) == "one\nt"
    assert await text(path, since=datetime.now(UTC) + timedelta(hours=1)) == ""
    assert last_output(path, max_bytes=3) == "ree"


@pytest.mark.anyio
async def test_a_follower_sees_every_line_of_a_log_that_is_rotated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "ROTATE_AT_BYTES", 1000)
    path = tmp_path / "0.log"
    writer = LogWriter(path)
    lines = [f"line {number}\n" for number in range(60)]

    async def collect() -> str:
        query = LogQuery(follow=True)
        return b"".join([piece async for piece in read_log(path, query, writer)]).decode()

    following = asyncio.create_task(collect())
    for line in lines:
        writer.write("stdout", line.encode())
        await asyncio.sleep(0)
    writer.close()

    assert await following == "".join(lines)


@given(
    pieces=st.lists(st.binary(max_size=50), max_size=10),
    lines=st.integers(min_value=0, max_value=20),
)
def test_the_tail_is_the_last_lines(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes], lines: int
) -> None:
    path = tmp_path_factory.mktemp("log") / "file"
    content = b"".join(piece + b"\n" for piece in pieces)
    path.write_bytes(content)

    with path.open("rb") as file:
        tail = content[tail_offset(file, lines) :]

    parts = content.split(b"\n")[:-1]
    assert tail == b"".join(part + b"\n" for part in parts[max(len(parts) - lines, 0) :])


def test_volumes_are_replaced_in_one_step(tmp_path: Path) -> None:
    write_files(tmp_path, {"a": File(b"1", 0o644), "sub/b": File(b"2", 0o400)})
    assert (tmp_path / "sub" / "b").read_bytes() == b"2"
    assert is_current(tmp_path, {"a": File(b"1", 0), "sub/b": File(b"2", 0)})

    write_files(tmp_path, {"a": File(b"new", 0o644)})

    assert (tmp_path / "a").read_bytes() == b"new"
    assert sorted(entry.name for entry in tmp_path.iterdir() if entry.name[:2] != "..") == ["a"]
    assert len([entry for entry in tmp_path.iterdir() if entry.is_dir()]) == 2  # data and its link


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


def limited(size: str, storage: str | None = None) -> dict[str, Any]:
    limits = {"ephemeral-storage": storage} if storage else {}
    return {
        "spec": {
            "volumes": [{"name": "v", "emptyDir": {"sizeLimit": size}}],
            "containers": [{"name": "main", "resources": {"limits": limits}}],
        }
    }


def test_storage_limits(tmp_path: Path) -> None:
    volumes, containers = tmp_path / "volumes", tmp_path / "containers"
    (volumes / "v").mkdir(parents=True)
    (volumes / "v" / "file").write_bytes(bytes(200_000))

    assert has_storage_limits(limited("1Mi"))
    assert not has_storage_limits({"spec": {"containers": [{"name": "main"}]}})
    assert eviction(limited("1Mi"), volumes, containers) is None
    full = eviction(limited("100Ki"), volumes, containers)
    assert full is not None
    assert full.message == 'Usage of EmptyDir volume "v" exceeds the limit "100Ki". '
    total = eviction(limited("1Mi", storage="100Ki"), volumes, containers)
    assert total is not None
    assert "exceeds the total limit of containers 100Ki" in total.message


def test_less_room_is_watched_more_closely() -> None:
    gib = 1024**3
    assert seconds_to_next_look(0, 100 * gib) == 1
    assert seconds_to_next_look(gib, 2 * gib) == 0.5
    assert seconds_to_next_look(gib, gib + 1) == 0.1


@pytest.mark.anyio
async def test_probe_thresholds() -> None:
    results = iter([True, False, False, True, True, False])
    seen: list[bool | str] = []

    async def perform() -> None:
        result = next(results, None)
        if result is None:
            raise asyncio.CancelledError
        if not result:
            raise ProbeError("no")

    probe = {"periodSeconds": 0, "failureThreshold": 2, "successThreshold": 2}
    with pytest.raises(asyncio.CancelledError):
        await follow(probe, perform, seen.append, seen.append)

    assert seen == ["no", "no", False, True, "no"]


def test_the_command_line(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    needed = [f"--kubeconfig={file}", f"--root={tmp_path}", "--name=n", "--port=1"]
    needed += [f"--serving-cert={file}", f"--serving-key={file}", f"--client-ca={file}"]

    settings = parse([*needed, f"--environment=a=b/*={tmp_path}", "--capacity=x.y/z=2"])

    assert settings.environments[0].pattern == "a=b/*"
    assert settings.capacity == {"x.y/z": "2"}
    for wrong in ("--capacity=x=many", "--environment=x=/no/such", "--label=x"):
        with pytest.raises(SystemExit):
            parse([*needed, wrong])
