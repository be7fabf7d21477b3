"""Volumes on the node's disk."""

from pathlib import Path

from splitjob_kubelet.runtime.volume_store import is_current, write_files
from splitjob_kubelet.runtime.volumes import File


def test_volumes_are_replaced_in_one_step(tmp_path: Path) -> None:
    write_files(tmp_path, {"a": File(b"1", 0o644), "sub/b": File(b"2", 0o400)})
    assert (tmp_path / "sub" / "b").read_bytes() == b"2"
    assert is_current(tmp_path, {"a": File(b"1", 0), "sub/b": File(b"2", 0)})

    write_files(tmp_path, {"a": File(b"new", 0o644)})

    assert (tmp_path / "a").read_bytes() == b"new"
    assert sorted(entry.name for entry in tmp_path.iterdir() if entry.name[:2] != "..") == ["a"]
    assert len([entry for entry in tmp_path.iterdir() if entry.is_dir()]) == 2  # data and its link
