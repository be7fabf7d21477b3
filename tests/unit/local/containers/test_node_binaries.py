"""The programs of a node that runs containers."""

from splitjob_local.containers.node_binaries import kubernetes_version, node_programs_folder
from splitjob_local.programs.versions import KUBERNETES, pinned_versions


def test_the_node_is_of_the_same_version_as_the_control_plane() -> None:
    assert kubernetes_version() == pinned_versions()[KUBERNETES]
    assert kubernetes_version() in node_programs_folder().name
