"""The logs of containers, and their tails."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitjob_kubelet.runtime import logs
from splitjob_kubelet.runtime.logs import LogQuery, LogWriter, last_output, read_log, tail_offset


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
