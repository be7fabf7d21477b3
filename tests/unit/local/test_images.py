"""What the image builds run inside, and what is checked before a release."""

import ctypes
import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from splitjob_local.images import audit, libraries, licences, recipe, release
from splitjob_local.images.engine import TARGETS, Build, Engine, ImageError, Target, labels
from splitjob_local.images.licences import Package, Policy
from splitjob_local.paths import REPOSITORY

LOCK = """\
base==1.0 \\
    --hash=sha256:aa
    # via
    #   track-tree-audio (pyproject.toml)
    #   other
leaf==2.0 ; sys_platform == 'linux' \\
    --hash=sha256:bb \\
    --hash=sha256:cc
    # via base
other==3.0 \\
    --hash=sha256:dd
    # via track-tree-audio (pyproject.toml)
"""


def test_a_locked_requirement_keeps_its_marker_and_all_its_hashes() -> None:
    leaf = recipe.locked(LOCK)["leaf"]
    assert leaf.lines == (
        "leaf==2.0 ; sys_platform == 'linux' \\\n    --hash=sha256:bb \\\n    --hash=sha256:cc\n"
    )
    assert leaf.needed_by == {"base"}


def test_a_layer_takes_what_its_packages_need_and_nothing_else() -> None:
    packages = recipe.locked(LOCK)
    assert recipe.closure({"base"}, packages, set()) == {"base", "leaf"}
    assert recipe.closure({"other"}, packages, set()) == {"other", "base", "leaf"}
    assert recipe.closure({"other"}, packages, {"base"}) == {"other"}


def test_a_dependency_that_is_not_locked_is_said() -> None:
    with pytest.raises(ValueError, match=r"brandnew: not in requirements\.lock; run `make lock`"):
        recipe.closure({"brandnew"}, recipe.locked(LOCK), set())


def test_a_worker_for_cpus_alone_has_no_cuda_and_the_same_version_of_torch(tmp_path: Path) -> None:
    (tmp_path / "torch.txt").write_text("torch==2.1 ; x \\\n  --hash=a\ntriton==1 \\\n  --hash=b\n")
    (tmp_path / "cuda.txt").write_text("nvidia-x==1 \\\n  --hash=c\n")
    recipe.choose_backend("cuda", tmp_path)
    assert "--hash=c" in (tmp_path / "cuda.txt").read_text()
    recipe.choose_backend("cpu", tmp_path)
    assert (tmp_path / "torch.txt").read_text() == "torch==2.1\n"
    assert (tmp_path / "cuda.txt").read_text() == ""
    with pytest.raises(SystemExit, match="'rocm': give cuda or cpu"):
        recipe.choose_backend("rocm", tmp_path)


def layer(folder: Path) -> Path:
    """Make a layer as uv would install it, and return its site-packages."""
    site = folder / "opt/venv/lib/python3.13/site-packages"
    for name in (
        "nvidia/cu13/include/cuda.h",
        "nvidia/cu13/lib/libcudadevrt.a",
        "nvidia/cu13/lib/libcusolverMg.so.12",
        "nvidia/cu13/lib/libcusolver.so.12",
        "nvidia/nvshmem/lib/libnvshmem_host.so.3",
        "nvidia/nvshmem/lib/nvshmem_transport_ucx.so.6",
        "torch/include/torch.h",
        "x-1.dist-info/direct_url.json",
        "x-1.dist-info/METADATA",
    ):
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_text("")
    (site / "x.py").write_text("NAMES = {'a', 'b', 'c'}\n\ndef f(x): return x in {'d', 'e', 'f'}\n")
    return site


def test_a_layer_is_left_with_what_is_loaded(tmp_path: Path) -> None:
    site = layer(tmp_path)
    recipe.finish(tmp_path)
    left = {str(one.relative_to(site)) for one in site.rglob("*") if one.is_file()}
    tag = sys.implementation.cache_tag
    assert left == {
        "nvidia/cu13/lib/libcusolver.so.12",
        "nvidia/nvshmem/lib/libnvshmem_host.so.3",
        "x-1.dist-info/METADATA",
        "x.py",
        f"__pycache__/x.{tag}.pyc",
    }


def test_the_same_packages_make_the_same_layer_at_any_time_and_place(tmp_path: Path) -> None:
    contents = []
    for name in ("one", "two"):
        site = layer(tmp_path / name)
        os.utime(site / "x.py", (1e9 if name == "one" else 1.5e9,) * 2)
        recipe.finish(tmp_path / name)
        paths = sorted((tmp_path / name).rglob("*"))
        contents.append(
            [
                (
                    path.relative_to(tmp_path / name),
                    path.stat().st_mtime,
                    path.is_file() and path.read_bytes(),
                )
                for path in paths
            ]
        )
    assert contents[0] == contents[1]
    assert {time for _, time, _ in contents[0]} == {0}


def test_each_image_holds_one_of_the_programs_and_what_they_share(tmp_path: Path) -> None:
    for image, program in recipe.PROGRAMS.items():
        site = tmp_path / image / "opt/venv/lib/python3.13/site-packages"
        for package in ("splitjob", *recipe.PROGRAMS.values()):
            (site / package).mkdir(parents=True)
        recipe.keep(image, tmp_path / image)
        assert {one.name for one in site.iterdir()} == {"splitjob", program}
        assert site.stat().st_mtime == recipe.EPOCH


def content(path: Path) -> tuple[float, bytes]:
    return path.stat().st_mtime, path.read_bytes() if path.is_file() else b""


def test_bytecode_is_believed_without_a_look_at_the_source(tmp_path: Path) -> None:
    """PEP 552: the flags of an unchecked hash are 1. A root that is read-only has no other."""
    site = layer(tmp_path)
    recipe.finish(tmp_path)
    compiled = next(site.rglob("x.*.pyc")).read_bytes()
    assert int.from_bytes(compiled[4:8], "little") == 1
    assert b"/opt/venv/lib/python3.13/site-packages/x.py" in compiled
    assert str(tmp_path).encode() not in compiled


def library(name: str) -> Path:
    spec = find_spec(name)
    assert spec
    assert spec.origin
    return Path(spec.origin)


@pytest.mark.skipif(sys.platform != "linux", reason="of ELF files")
def test_a_library_without_debug_information_loads_and_needs_the_same(tmp_path: Path) -> None:
    source = library("pydantic_core._pydantic_core")
    copy = tmp_path / "copy.so"
    shutil.copyfile(source, copy)
    recipe.drop_debug_information(copy)
    assert copy.stat().st_size < source.stat().st_size
    assert "libc.so.6" in libraries.needed(copy) == libraries.needed(source)
    assert ctypes.PyDLL(str(copy)).PyInit__pydantic_core


def test_what_is_no_elf_file_is_left_as_it_is(tmp_path: Path) -> None:
    script = tmp_path / "linker.so"
    script.write_text("INPUT(libx.so.1)\n" * 9)
    recipe.drop_debug_information(script)
    assert script.read_text() == "INPUT(libx.so.1)\n" * 9
    assert libraries.needed(script) == []


@pytest.mark.skipif(sys.platform != "linux", reason="of ELF files")
def test_a_library_that_was_left_out_by_mistake_is_told(tmp_path: Path) -> None:
    torch = library("torch").parent / "lib"
    site = tmp_path / "lib/python3.13/site-packages"
    site.mkdir(parents=True)
    shutil.copyfile(torch / "libshm.so", site / "libshm.so")
    told = check_libraries(tmp_path)
    assert told.returncode == 1
    assert re.search(r"^libshm\.so needs .*libtorch_cpu\.so", told.stderr, re.MULTILINE)
    for name in ("libtorch_cpu.so", "libc10.so", "libgomp.so.1"):
        (site / name).write_text("")
    assert check_libraries(tmp_path).returncode == 0


def check_libraries(environment: Path) -> subprocess.CompletedProcess[str]:
    """Look as the build does, in a process of its own: one with torch loaded finds its parts."""
    command = [sys.executable, "-m", libraries.__name__, str(environment)]
    return subprocess.run(command, check=False, capture_output=True, text=True)


POLICY = Policy(frozenset({"MIT", "BSD-3-Clause"}), frozenset({"GPL-3.0"}), {"nvidia-*": "read"})


@pytest.mark.parametrize(
    ("package", "fine"),
    [
        (Package("a", "1", "MIT", ("API",)), True),
        (Package("a", "1", "MIT AND BSD-3-Clause", ("API",)), True),
        (Package("a", "1", "MIT AND GPL-3.0", ("API",)), False),
        (Package("a", "1", "GPL-3.0 OR MIT", ("API",)), True),
        (Package("a", "1", "GPL-3.0", ("API",)), False),
        (Package("a", "1", "GPL-3.0", ()), True),
        (Package("a", "1", "UNKNOWN", ()), False),
        (Package("nvidia-x", "1", "UNKNOWN", ("worker",)), True),
    ],
)
def test_a_licence_that_nobody_looked_at_is_a_problem(package: Package, fine: bool) -> None:
    assert (licences.problems([package], POLICY) == []) is fine


@pytest.mark.slow
def test_all_licences_were_looked_at_and_the_page_says_what_is_installed() -> None:
    packages, policy = licences.read_packages(), licences.read_policy()
    assert licences.problems(packages, policy) == []
    if sys.platform == "linux":  # elsewhere there are fewer packages
        written = (REPOSITORY / licences.PAGE).read_text()
        assert written == licences.page(packages, policy), "run `make licences`"


@pytest.mark.parametrize(
    ("report", "status", "text"),
    [
        (None, audit.UNREACHED, "got no answer"),
        ({"dependencies": [{"name": "a", "version": "1", "vulns": []}]}, audit.CLEAN, "1 packages"),
        (
            {"dependencies": [{"name": "a", "skip_reason": "?"}]},
            audit.UNREACHED,
            "not audited: 1 of 1",
        ),
        (
            {
                "dependencies": [
                    {"name": "b", "skip_reason": "?"},
                    {
                        "name": "a",
                        "version": "1",
                        "vulns": [{"id": "CVE-1", "fix_versions": ["1.1", "2"]}],
                    },
                ]
            },
            audit.VULNERABLE,
            "a 1: CVE-1, mended in 1.1, 2",
        ),
    ],
)
def test_an_audit_without_answers_is_not_taken_for_a_clean_one(
    report: dict[str, Any] | None, status: int, text: str
) -> None:
    found = audit.judge(report)
    assert found[0] == status
    assert text in found[1]


def test_a_release_is_pushed_and_signed_by_digest_only() -> None:
    digest = f"sha256:{'a' * 64}"
    registry = "registry.example:5000/tta"
    image = release.Released(f"{registry}/api:1.0", digest, Path("api.oci"), Path("api.json"))
    found = release.commands([image], Path("chart-1.0.tgz"), registry)
    signing = [words for words in found if words[:2] in (["cosign", "sign"], ["cosign", "attest"])]
    assert [words[-1] for words in signing] == [f"{registry}/api@{digest}"] * 2
    assert ["helm", "push", "chart-1.0.tgz", f"oci://{registry}/charts"] in found


def test_labels_name_the_base_by_digest_and_leave_out_what_is_unknown() -> None:
    known = labels(Build(base="python:3.13-slim@sha256:abc", source="https://git.example/tta"))
    assert known["org.opencontainers.image.base.name"] == "python:3.13-slim"
    assert known["org.opencontainers.image.base.digest"] == "sha256:abc"
    assert known["org.opencontainers.image.source"] == "https://git.example/tta"
    unknown = labels(Build())
    assert (
        not {"org.opencontainers.image.source", "org.opencontainers.image.base.digest"}
        & unknown.keys()
    )
    assert unknown["org.opencontainers.image.version"]


def test_an_engine_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(ImageError, match="buildah, podman, docker: not installed"):
        Engine.find()
    with pytest.raises(ImageError, match="podman: not installed"):
        Engine.find("podman")


def test_targets_are_stages_of_their_files() -> None:
    for target in TARGETS.values():
        assert isinstance(target, Target)
        assert f" AS {target.stage}\n" in (REPOSITORY / target.file).read_text()
