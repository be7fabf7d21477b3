"""Users, mounts and owners of files: what follows from a pod's spec."""

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from splitjob_kubelet.runtime.confinement import (
    IMAGE_USER,
    Identity,
    Mount,
    VolumeOwner,
    identity_of,
    security_context,
    volume_owner,
)
from splitjob_kubelet.runtime.environment import ConfigurationError, service_variables
from splitjob_kubelet.runtime.root_filesystem import image_mounts, prepare
from splitjob_kubelet.runtime.volume_store import make_directories, make_sub_paths, write_files
from splitjob_kubelet.runtime.volumes import File, volume_mounts
from splitjob_kubelet.settings import parse


def pod(context: dict[str, Any] | None = None, *containers: dict[str, Any]) -> dict[str, Any]:
    return {"spec": {"securityContext": context or {}, "containers": list(containers)}}


@pytest.mark.parametrize(
    ("of_pod", "of_container", "expected"),
    [
        ({}, {}, Identity(IMAGE_USER, IMAGE_USER)),
        ({"runAsUser": 5}, {}, Identity(5, 0)),
        ({"runAsUser": 5, "runAsGroup": 6}, {"runAsUser": 7}, Identity(7, 6)),
        (
            {"fsGroup": 8, "supplementalGroups": [9, 8]},
            {},
            Identity(IMAGE_USER, IMAGE_USER, (9, 8)),
        ),
        ({"runAsUser": 0}, {}, Identity(0, 0)),
        ({"runAsUser": 0, "runAsNonRoot": True}, {"runAsUser": 1}, Identity(1, 0)),
    ],
)
def test_who_a_container_runs_as(
    of_pod: dict[str, Any], of_container: dict[str, Any], expected: Identity
) -> None:
    assert identity_of({"securityContext": of_container}, pod(of_pod)) == expected


def test_root_is_refused_where_the_pod_rules_it_out() -> None:
    context = {"runAsNonRoot": True}
    with pytest.raises(ConfigurationError, match="non-root policy"):
        identity_of({"securityContext": {"runAsUser": 0}}, pod(context))
    assert security_context({}, pod(context)) == context


def test_volumes_are_made_for_the_one_user_of_a_pod_and_its_group() -> None:
    one, other = {"name": "a"}, {"name": "b", "securityContext": {"runAsUser": 2}}
    assert volume_owner(pod({"runAsUser": 1, "fsGroup": 3}, one)) == VolumeOwner(1, 3)
    assert volume_owner(pod({"runAsUser": 1}, one, other)) == VolumeOwner(None, None)


def test_volumes_of_files_are_mounted_read_only(tmp_path: Path) -> None:
    volumes = [
        {"name": "keys", "secret": {"secretName": "s"}},
        {"name": "data", "emptyDir": {}},
        {"name": "host", "hostPath": {"path": "/srv"}},
    ]
    wanted = [
        {"name": "keys", "mountPath": "/keys"},
        {"name": "data", "mountPath": "/data"},
        {"name": "host", "mountPath": "/host", "readOnly": True},
    ]
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    paths = {"/keys": str(tmp_path / "link"), "/data": "/x", "/host": "/srv", "/dev/log": "/m"}

    found = volume_mounts({"volumeMounts": wanted}, {"spec": {"volumes": volumes}}, paths)

    assert found == [
        Mount(str(tmp_path / "real"), "/keys", read_only=True),
        Mount("/x", "/data"),
        Mount("/srv", "/host", read_only=True),
        Mount("/m", "/dev/log"),
    ]


def test_a_virtual_environment_brings_its_interpreter_along(tmp_path: Path) -> None:
    programs = tmp_path / "project" / "venv" / "bin"
    base = tmp_path / "pythons" / "3.11"
    for folder in (programs, base / "bin"):
        folder.mkdir(parents=True)
    (tmp_path / "pythons" / "current").symlink_to("3.11")
    home = tmp_path / "pythons" / "current" / "bin"
    (programs.parent / "pyvenv.cfg").write_text(f"home = {home}\nversion = 3.11.7\n")

    alone = {mount.target: mount.source for mount in image_mounts(programs, [])}
    shared = {mount.target for mount in image_mounts(programs, [tmp_path / "project"])}

    assert alone == {
        str(programs.parent): str(programs.parent),
        str(home.parent): str(base),
        str(base): str(base),
    }
    assert shared == {str(tmp_path / "project"), str(home.parent), str(base)}


def test_programs_of_the_system_need_no_mount_of_their_own() -> None:
    assert image_mounts(Path("/usr/bin"), [Path("/")]) == []


def test_a_root_has_no_user_but_root_and_nobody(tmp_path: Path) -> None:
    prepare(tmp_path, "pod", "127.16.0.1")

    names = [line.split(":")[0] for line in (tmp_path / "etc/passwd").read_text().splitlines()]
    assert names == ["root", "nobody"]
    assert stat.S_IMODE((tmp_path / "tmp").stat().st_mode) == 0o1777
    assert "127.16.0.1\tpod" in (tmp_path / "etc/hosts").read_text()
    assert (tmp_path / "var/run").readlink() == Path("../run")


def test_an_address_of_version_6_is_written_as_a_kubelet_does() -> None:
    found = service_variables("https://[fd00::1]:6443")
    assert found["KUBERNETES_SERVICE_HOST"] == "fd00::1"
    assert found["KUBERNETES_PORT"] == "tcp://[fd00::1]:6443"
    assert service_variables("https://api.example.com")["KUBERNETES_SERVICE_PORT"] == "443"


def test_directories_of_a_sub_path_are_as_open_as_their_volume(tmp_path: Path) -> None:
    spec = {"spec": {"volumes": [{"name": "data", "emptyDir": {}}]}}
    make_directories(spec, tmp_path, VolumeOwner(None, None))
    mount = {"name": "data", "mountPath": "/d", "subPath": "a/b"}

    make_sub_paths({"volumeMounts": [mount]}, {"/d": str(tmp_path / "data" / "a" / "b")})

    for name in ("data", "data/a", "data/a/b"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o777


def test_the_group_of_a_pod_reads_what_only_the_owner_could(tmp_path: Path) -> None:
    """With a group of our own, which needs no rights; a token without any user is for all."""
    ours = os.getgid()
    files = {"key": File(b"", 0o400), "token": File(b"", 0o600, private=True)}

    write_files(tmp_path, files, VolumeOwner(None, ours))
    assert [_mode(tmp_path / name) for name in ("key", "token")] == [0o440, 0o640]
    write_files(tmp_path, files, VolumeOwner(os.getuid(), None))
    assert [_mode(tmp_path / name) for name in ("key", "token")] == [0o400, 0o600]
    write_files(tmp_path, files, VolumeOwner(None, None))
    assert [_mode(tmp_path / name) for name in ("key", "token")] == [0o400, 0o644]


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_root_of_the_machine_cannot_be_shared(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    needed = [f"--kubeconfig={file}", f"--root={tmp_path}", "--name=n", "--port=1"]
    needed += [f"--serving-cert={file}", f"--serving-key={file}", f"--client-ca={file}"]

    settings = parse([*needed, f"--share={tmp_path}", "--isolation=none"])
    assert (settings.shared, settings.isolation) == ([tmp_path], "none")
    for wrong in ("--share=/", f"--share={file}", "--isolation=some"):
        with pytest.raises(SystemExit):
            parse([*needed, wrong])
