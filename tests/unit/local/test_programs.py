"""Which programs will do, and where they are looked for."""

import stat
import threading
from pathlib import Path

import pytest
from tests.support.waiting import patience

from splitjob_local.processes.locks import try_lock
from splitjob_local.processes.ports import FIRST_PORT, LAST_PORT, PortLeases, is_free
from splitjob_local.programs import binaries, gobuild
from splitjob_local.programs.binaries import (
    cache_folder,
    fill_cache,
    installed_programs,
    is_complete,
)
from splitjob_local.programs.gobuild import GoBuildError, count_packages, is_new_enough
from splitjob_local.programs.versions import PROGRAMS, pinned_version, pinned_versions, version_in

ANSWERS = {
    "etcd": "etcd Version: 3.6.1\nGit SHA: a1b2c3d\nGo Version: go1.24.3",
    "kube-apiserver": "Kubernetes v1.35.0",
    "kube-controller-manager": "Kubernetes v1.35.0",
    "kube-scheduler": "Kubernetes v1.35.0",
    "kubectl": "Client Version: v1.35.0\nKustomize Version: v5.7.1",
    "helm": "v3.19.0+g3d8990f",
    "versitygw": "Version  : 1.8.0\nBuild    : norev",
}


def install(folder: Path, answers: dict[str, str]) -> None:
    folder.mkdir(exist_ok=True)
    for name, answer in answers.items():
        path = folder / name
        path.write_text(f"#!/bin/sh\ncat <<'END'\n{answer}\nEND\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def only_these(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the whole of KUBEBUILDER_ASSETS; PATH keeps what a shell needs."""
    folder = tmp_path / "assets"
    install(folder, ANSWERS)
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(folder))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    return folder


def test_installed_programs_are_taken_when_all_of_them_will_do(only_these: Path) -> None:
    assert installed_programs() == {name: only_these / name for name in ANSWERS}


def test_programs_are_found_on_path_too(only_these: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBEBUILDER_ASSETS")
    monkeypatch.setenv("PATH", f"{only_these}:/usr/bin:/bin")

    assert installed_programs() is not None


def test_one_program_missing_and_none_is_taken(only_these: Path) -> None:
    (only_these / "kube-scheduler").unlink()

    assert installed_programs() is None


@pytest.mark.parametrize(
    ("name", "answer"),
    [("kube-apiserver", "Kubernetes v1.31.9"), ("etcd", "no version"), ("helm", "v2.17.0")],
)
def test_one_program_too_old_and_none_is_taken(only_these: Path, name: str, answer: str) -> None:
    install(only_these, {name: answer})

    assert installed_programs() is None


def test_a_program_that_fails_is_not_taken(only_these: Path) -> None:
    (only_these / "etcd").write_text("#!/bin/sh\necho etcd Version: 3.6.1\nexit 1\n")

    assert installed_programs() is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Kubernetes v1.37.2", (1, 37, 2)),
        ("Kubernetes v1.38.0-alpha.1", (1, 38, 0)),
        ("v4.3.1+gabcdef", (4, 3, 1)),
        ("devel", None),
        ("", None),
    ],
)
def test_versions_are_read_from_what_programs_print(
    text: str, expected: tuple[int, int, int] | None
) -> None:
    assert version_in(text) == expected


def test_the_pins_name_every_module() -> None:
    pins = pinned_versions()

    assert all(version_in(pins[program.module]) for program in PROGRAMS)
    assert all(version_in(pins[program.module]) >= program.oldest for program in PROGRAMS)  # type: ignore[operator]


def test_a_module_that_is_not_pinned_is_named_with_the_folder(tmp_path: Path) -> None:
    (tmp_path / "go.mod").write_text("module x\n\nrequire example.com/other v1.2.3\n")

    assert pinned_version("example.com/other", tmp_path) == "1.2.3"
    with pytest.raises(ValueError, match=f"{tmp_path} pins no version of example.com/one"):
        pinned_version("example.com/one", tmp_path)


def test_the_cache_lies_where_xdg_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    assert cache_folder().parent == tmp_path / "track-tree-audio" / "bin"


def test_two_processes_fill_the_cache_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetches: list[Path] = []
    both_wait = threading.Event()

    def fetch(folder: Path, _say: object) -> None:
        both_wait.wait(patience(5))
        fetches.append(folder)
        install(folder, ANSWERS)

    monkeypatch.setattr(binaries, "fetch", fetch)
    target = tmp_path / "bin" / "key"
    said: list[str] = []

    def say(text: str) -> None:
        said.append(text)
        both_wait.set()

    threads = [threading.Thread(target=fill_cache, args=(target, say)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(patience(20))

    assert len(fetches) == 1
    assert is_complete(target)
    assert said == ["another process is fetching the control plane; waiting for it"]


def test_a_failed_fetch_leaves_nothing_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetch(folder: Path, _say: object) -> None:
        install(folder, {"etcd": "half of it"})
        raise OSError("disk full")

    monkeypatch.setattr(binaries, "fetch", fetch)
    target = tmp_path / "bin" / "key"

    with pytest.raises(OSError, match="disk full"):
        fill_cache(target, lambda _text: None)

    assert [path.name for path in target.parent.iterdir()] == ["key.lock"]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("go version go1.26.8 linux/amd64", True),
        ("go version go1.27 linux/amd64", True),
        ("go version go1.25.4 linux/amd64", False),
        ("go version devel", False),
    ],
)
def test_go_must_be_new_enough(tmp_path: Path, answer: str, *, expected: bool) -> None:
    install(tmp_path, {"go": answer})

    assert is_new_enough(tmp_path / "go") is expected


def test_no_go_is_not_new_enough(tmp_path: Path) -> None:
    assert not is_new_enough(tmp_path / "go")


def test_fetching_the_source_says_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gobuild, "PROGRESS_SECONDS", 0.1)
    go = script(tmp_path, "echo go: downloading example.com/a v1.0.0 >&2; sleep 1; echo a; echo b")
    said: list[str] = []

    assert count_packages(go, tmp_path, "a", said.append) == 2
    assert "fetching the source: 1 modules, 0.0 minutes" in said


def test_source_that_cannot_be_fetched(tmp_path: Path) -> None:
    go = script(tmp_path, "echo no such host >&2; exit 1")

    with pytest.raises(GoBuildError, match="modules of a: no such host"):
        count_packages(go, tmp_path, "a", lambda _text: None)


def script(folder: Path, text: str) -> Path:
    path = folder / "go"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_clusters_never_share_a_port(tmp_path: Path) -> None:
    with PortLeases(tmp_path) as one, PortLeases(tmp_path) as two:
        ports = [leases.port() for leases in (one, two) for _ in range(20)]

        assert len(set(ports)) == len(ports)
        assert all(FIRST_PORT <= port <= LAST_PORT and is_free(port) for port in ports)


def test_ports_come_back_when_a_cluster_ends(tmp_path: Path) -> None:
    with PortLeases(tmp_path) as leases:
        port = leases.port()
        assert try_lock(tmp_path / str(port)) is None

    lock = try_lock(tmp_path / str(port))
    assert lock is not None
    lock.close()
