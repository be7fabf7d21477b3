"""The control groups of a node that runs containers."""

from pathlib import Path

from splitjob_local.containers.cgroups import make_cgroups, remove_cgroups


def test_control_groups_of_version_1_are_made_in_every_tree_and_removed(tmp_path: Path) -> None:
    for tree in ("cpuset", "memory"):
        (tmp_path / tree).mkdir()
        (tmp_path / tree / "cgroup.procs").touch()
    (tmp_path / "notes").mkdir()
    make_cgroups("/ours", tmp_path)
    (tmp_path / "memory" / "ours" / "pod" / "container").mkdir(parents=True)
    assert (tmp_path / "cpuset" / "ours").is_dir()
    assert not (tmp_path / "notes" / "ours").exists()
    remove_cgroups("/ours", tmp_path)
    assert [path.name for path in tmp_path.rglob("ours")] == []
