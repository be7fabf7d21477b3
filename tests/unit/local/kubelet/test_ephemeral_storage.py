"""Limits of the disk that a pod may use."""

from pathlib import Path
from typing import Any

from splitjob_kubelet.pods.ephemeral_storage import eviction, has_storage_limits


def limited(size: str, storage: str | None = None) -> dict[str, Any]:
    limits = {"ephemeral-storage": storage} if storage else {}
    return {
        "spec": {
            "volumes": [{"name": "v", "emptyDir": {"sizeLimit": size}}],
            "containers": [{"name": "main", "resources": {"limits": limits}}],
        }
    }


def test_a_pod_above_its_storage_limit_is_evicted(tmp_path: Path) -> None:
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
