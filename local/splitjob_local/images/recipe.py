"""What the Dockerfiles run inside of a build: which package goes into which layer, and what stays.

Standard library only, since it runs before anything is installed:

    python recipe.py split job /requirements       one file of locked requirements for each layer
    python recipe.py backend cuda /requirements    PyTorch for GPUs, or for CPUs alone
    python recipe.py install torch /layer          install the packages of a layer, and finish it
    python recipe.py install project /layer /data  the project's own, its weights in another layer
    python recipe.py keep api /layer               of the project's three programs, one alone
    python recipe.py stdlib /layer                 bytecode of Python's own library, where none is
    python recipe.py finish /layer                 leave out, compile, and make reproducible
    python recipe.py papers /opt/venv /layer       bill of materials and licence texts
"""

import compileall
import importlib.util
import os
import py_compile
import re
import shutil
import struct
import subprocess
import sys
import sysconfig
import tomllib
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "LAYERS",
    "LEFT_OUT",
    "NEVER_LOADED",
    "PROGRAMS",
    "Locked",
    "closure",
    "finish",
    "keep",
    "layers",
    "locked",
]

PROJECT = "track-tree-audio"
EPOCH = 0  # the time of every file: what a layer holds decides its digest, not when it was built
REQUIREMENTS = Path("/requirements")
METADATA = Path("/metadata")  # what packages say of themselves, for the bill of materials
DOCUMENTS = "usr/share/doc/track-tree-audio"
NO_CPU_BUILD = (
    "No build of PyTorch for CPUs alone could be had: it is on PyTorch's own index, which this "
    "machine must reach. The image with TORCH_BACKEND=cuda runs on CPUs too."
)
SITE = "opt/venv/lib/python3.*/site-packages"

# The layers of each image's dependencies from the bottom up, each a list of patterns of package
# names; a package goes into the first that takes it. What changes least is lowest.
LAYERS: dict[str, dict[str, list[str]]] = {
    "job": {"cuda": ["nvidia-.*", "cuda-.*"], "torch": ["torch", "triton"], "rest": [".*"]},
    "api": {"shared": [], "rest": [".*"]},
    "operator": {"shared": [], "rest": [".*"]},
}
TOOLS = {"cyclonedx-bom", "hatchling", "uv"}  # what a build itself takes
SHARED = ("httptools", "prometheus-client")  # with all that the project itself needs: `shared`

# The project's programs, by image. None imports another, and what they share is in every image.
PROGRAMS = {"api": "splitjob_api", "operator": "splitjob_operator", "job": "splitjob_worker"}

# How Demucs' own program reads songs: the worker has its own decoder, and never imports that part.
LEFT_OUT = {"job": {"sphn"}}

# What no pod ever loads, relative to site-packages. Everything that the libraries of torch name as
# needed stays (the end of the build checks it); so does what they open by themselves.
NEVER_LOADED = (
    # What runs a cluster on one machine, and makes songs for it.
    "splitjob_local",
    "splitjob_kubelet",
    "splitjob_synth",
    # Headers, static libraries, and CMake's files: for compiling against torch and CUDA.
    "**/*.a",
    "nvidia/**/include",
    "nvidia/cu13/cccl/lib",
    "torch/include",
    "torch/share/cmake",
    "torch/bin/protoc*",
    # Several GPUs at once in one kernel: only the library itself is linked against.
    "nvidia/nvshmem/lib/*.bc",
    "nvidia/nvshmem/lib/nvshmem_*.so*",
    # Solvers over several GPUs, other programs' BLAS and FFTW, RDMA.
    "nvidia/cu13/lib/libcusolverMg.so*",
    "nvidia/cu13/lib/libnvblas.so*",
    "nvidia/cu13/lib/libcufftw.so*",
    "nvidia/cu13/lib/libcufile_rdma.so*",
    # Profilers' counters.
    "nvidia/cu13/lib/libnvperf_*.so*",
    "nvidia/cu13/lib/libpcsamplingutil.so*",
    "nvidia/cu13/lib/libcheckpoint.so*",
    "triton/backends/nvidia/lib/cupti*",
    "triton/_C/libproton.so",
    # GPUs of another maker; its Python part stays, triton imports it.
    "triton/backends/amd/lib",
    "triton/FileCheck",
    # The packages' own tests.
    "numpy/**/tests",
    "sympy/**/tests",
    "mpmath/tests",
    "networkx/**/tests",
)
KEPT_TESTS = ("numpy/_core/tests/_natype.py", "numpy/_core/tests/__init__.py")
SELDOM_IMPORTED = {
    "ensurepip",
    "idlelib",
    "lib2to3",
    "pydoc_data",
    "test",
    "tkinter",
    "turtledemo",
} | {
    "dist-packages",
    "site-packages",
}
DEBUGGED = ("triton/_C/libtriton.so", "torch/lib/*.so")  # with symbols for debuggers alone


@dataclass(frozen=True)
class Locked:
    """One package of the lock file: its lines, and the packages that need it."""

    name: str
    lines: str
    needed_by: frozenset[str]


def locked(text: str) -> dict[str, Locked]:
    """Return the packages of a `requirements.lock` by name.

    Args:
        text: as `uv pip compile --generate-hashes` writes it, with `# via` under each package.
    """
    found: dict[str, Locked] = {}
    for block in re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE):
        match = re.match(r"([\w.-]+)==", block)
        if not match:
            continue
        comments = [line.strip(" #") for line in block.splitlines() if line.startswith("    #")]
        needing = {re.sub(r"^via\s*|\s*\(.*\)$", "", line) for line in comments}
        requirement = "".join(
            f"{line}\n" for line in block.splitlines() if not line.startswith("    #")
        )
        found[match[1]] = Locked(match[1], requirement, frozenset(needing - {""}))
    return found


def closure(roots: set[str], packages: dict[str, Locked], without: set[str]) -> set[str]:
    """Return the roots and all that they need, as the lock file's `# via` has it.

    A package that is needed on other systems only is in it too: its marker keeps it out.

    Args:
        roots: names of packages.
        packages: the lock file's.
        without: left out, and what only they need with them.

    Raises:
        ValueError: a root is not in the lock file.
    """
    if missing := roots - packages.keys():
        raise ValueError(f"{', '.join(sorted(missing))}: not in requirements.lock; run `make lock`")
    found = roots - without
    while new := {
        one.name
        for one in packages.values()
        if one.needed_by & found and one.name not in found | without
    }:
        found |= new
    return found


def layers(extra: str, project: dict[str, object], packages: dict[str, Locked]) -> dict[str, str]:
    """Return the requirements of each layer of an image, from the bottom up.

    Args:
        extra: the image's extra of the project: `api`, `operator` or `job`.
        project: the `project` table of pyproject.toml.
        packages: the lock file's.
    """
    own, extras = project["dependencies"], project["optional-dependencies"]
    if not isinstance(own, list) or not isinstance(extras, dict):
        raise TypeError("pyproject.toml has no list of dependencies, or no table of extras")
    without = LEFT_OUT.get(extra, set())
    names = closure(_names([*own, *extras[extra]]), packages, without)
    shared = closure(_names([*own, *SHARED]), packages, without)
    result = {}
    for layer, patterns in LAYERS[extra].items():
        taken = {
            name
            for name in names
            if (layer == "shared" and name in shared)
            or any(re.fullmatch(one, name) for one in patterns)
        }
        names -= taken
        result[layer] = "".join(packages[name].lines for name in sorted(taken))
    return result


def _names(requirements: list[str]) -> set[str]:
    return {re.split(r"[^\w.-]", one)[0] for one in requirements}


def split(extra: str, folder: Path, root: Path = Path()) -> None:
    """Write the requirements of each layer of an image, and of the build itself, into files."""
    packages = locked((root / "requirements.lock").read_text())
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    tools = closure(TOOLS, packages, set())
    requirements = {"tools": "".join(packages[name].lines for name in sorted(tools))}
    folder.mkdir(parents=True, exist_ok=True)
    for layer, lines in (requirements | layers(extra, project, packages)).items():
        (folder / f"{layer}.txt").write_text(lines)


def choose_backend(backend: str, folder: Path = REQUIREMENTS) -> None:
    """Make the requirements of a worker for CPUs alone, where that is asked for.

    Its PyTorch is of the same version, but from PyTorch's own index, where hashes are others.

    Args:
        backend: `cuda` leaves all as it is, `cpu` takes CUDA and triton out.
        folder: the requirements of each layer.
    """
    if backend not in {"cuda", "cpu"}:
        sys.exit(f"TORCH_BACKEND is {backend!r}: give cuda or cpu")
    if backend == "cpu":
        torch = folder / "torch.txt"
        version = re.search(r"^torch==[^ ;]+", torch.read_text(), re.MULTILINE)
        torch.write_text(f"{version[0] if version else 'torch'}\n")
        (folder / "cuda.txt").write_text("")


def install(layer: str, target: Path, weights: Path | None = None) -> None:
    """Install the packages of a layer into a folder, and finish that.

    Args:
        layer: `project`, whose wheel is in /dist, or one of which there are requirements.
        target: the folder; its `opt/venv` becomes part of the environment.
        weights: where the project's weights go, which seldom change; None: they stay.
    """
    prefix = target / "opt/venv"
    prefix.mkdir(parents=True, exist_ok=True)
    command = ["uv", "pip", "install", "--quiet", "--python", "/opt/venv/bin/python"]
    command += ["--no-deps", "--prefix", str(prefix)]
    requirements = REQUIREMENTS / f"{layer}.txt"
    if layer == "project":
        run([*command, "--no-index", "--find-links", "/dist", PROJECT])
    elif (text := requirements.read_text()) and "--hash" in text:
        run([*command, "--require-hashes", "--requirement", str(requirements)])
    elif text:
        run([*command, "--torch-backend", "cpu", text.strip()], NO_CPU_BUILD)
    for info in target.glob(f"{SITE}/*.dist-info"):
        shutil.copytree(info, METADATA / info.relative_to(target))
    METADATA.mkdir(exist_ok=True)
    finish(target)
    if weights:
        weights.mkdir()
        for path in target.glob(f"{SITE}/*/weights/*.safetensors"):
            moved = weights / path.relative_to(target)
            moved.parent.mkdir(parents=True, exist_ok=True)
            path.rename(moved)
        stamp(weights)
        stamp(target)


def keep(image: str, layer: Path) -> None:
    """Leave out of a finished layer with the project's code the programs of the other images.

    Args:
        image: `api`, `operator` or `job`.
        layer: a root folder that holds `opt/venv`.
    """
    for site in layer.glob(SITE):
        for other in PROGRAMS.keys() - {image}:
            shutil.rmtree(site / PROGRAMS[other])
    stamp(layer)


def run(command: list[str], otherwise: str = "") -> None:
    """Run a command; where it fails, end with its exit status and a sentence more."""
    # Not from the project's folder, whose settings of uv are for resolving.
    done = subprocess.run(command, check=False, cwd="/")
    if done.returncode:
        print(otherwise or f"failed: {' '.join(command)}", file=sys.stderr)
        sys.exit(done.returncode)


def finish(layer: Path) -> None:
    """Make a layer of what was installed: leave out what is never loaded, compile, set all times.

    Args:
        layer: a root folder that holds `opt/venv`.
    """
    before = _size(layer)
    for name in ("bin/activate*", "bin/*.bat", ".lock", ".gitignore", "CACHEDIR.TAG"):
        for path in layer.glob(f"opt/venv/{name}"):  # for shells and caches
            path.unlink()
    for site in layer.glob(SITE):
        _leave_out(site)
        for pattern in DEBUGGED:
            for library in sorted(site.glob(pattern)):
                drop_debug_information(library)
        _compile(site, Path("/") / site.relative_to(layer))
    stamp(layer)
    print(
        f"{layer}: {before / 1e6:.0f} MB installed, {_size(layer) / 1e6:.0f} MB with bytecode stay"
    )


def _leave_out(site: Path) -> None:
    kept = {
        site / name: (site / name).read_bytes() for name in KEPT_TESTS if (site / name).exists()
    }
    for pattern in NEVER_LOADED:
        for path in sorted(site.glob(pattern), reverse=True):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for path, content in kept.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    # Where a wheel lay and when it was installed: true of this build alone.
    for name in ("uv_cache.json", "direct_url.json"):
        for path in site.glob(f"*.dist-info/{name}"):
            path.unlink()
    for folder in sorted(site.glob("nvidia/**/"), reverse=True):
        if not any(folder.iterdir()):
            folder.rmdir()


def _compile(site: Path, becomes: Path) -> None:
    """Write bytecode that is believed as it is: a root file system that is read-only has no other.

    In one process and in one order, since Python's bytecode depends on what was compiled before.
    """
    for old in sorted(site.rglob("__pycache__")):
        shutil.rmtree(old)
    compileall.compile_dir(
        site,
        quiet=2,
        workers=1,
        maxlevels=50,
        stripdir=str(site),
        prependdir=str(becomes),
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )


def standard_library(layer: Path) -> None:
    """Write the bytecode of Python's standard library that the base image lacks, into a layer.

    The official images are without any, so that each start of Python would compile what it imports.
    """
    library = Path(sysconfig.get_path("stdlib"))
    for source in sorted(library.rglob("*.py")):
        skipped = SELDOM_IMPORTED & set(source.relative_to(library).parts)
        compiled = Path(importlib.util.cache_from_source(str(source)))
        if skipped or compiled.exists():
            continue
        target = layer / compiled.relative_to("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        py_compile.compile(
            str(source),
            cfile=str(target),
            quiet=2,
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        )


def drop_debug_information(library: Path) -> None:
    """Cut off a library what no loader reads: the sections after its last loaded segment.

    They hold symbols for debuggers (half of triton); what the library exports is in segments. As
    `sstrip` does; http://refspecs.linuxbase.org/elf/gabi4+/ch4.eheader.html has the fields.

    Args:
        library: a 64-bit, little-endian ELF file; anything else is left as it is.
    """
    with library.open("r+b") as file:
        header = file.read(64)
        if header[:6] != b"\x7fELF\x02\x01":
            return
        (program_headers,) = struct.unpack_from("<Q", header, 32)
        size, count = struct.unpack_from("<HH", header, 54)
        file.seek(program_headers)
        table = file.read(size * count)
        segments = [struct.unpack_from("<IIQQQQ", table, size * index) for index in range(count)]
        end = max(offset + length for _, _, offset, _, _, length in segments)
        file.seek(40)
        file.write(bytes(8))  # e_shoff: no section headers
        file.seek(58)
        file.write(bytes(6))  # e_shentsize, e_shnum, e_shstrndx
        file.truncate(max(end, program_headers + len(table)))


def papers(environment: Path, layer: Path, root: Path = Path()) -> None:
    """Write the bill of materials and the licence texts of what an environment holds.

    Args:
        environment: a virtual environment; the packages' metadata is enough.
        layer: the root folder to write below.
        root: the project.
    """
    folder = layer / DOCUMENTS
    folder.mkdir(parents=True)
    command = [
        "cyclonedx-py",
        "environment",
        "--pyproject",
        str(root.absolute() / "pyproject.toml"),
    ]
    command += ["--mc-type", "application", "--output-reproducible", "--output-format", "JSON"]
    run([*command, "--output-file", str(folder / "sbom.cdx.json"), f"{environment}/bin/python"])
    licences(environment, folder / "licences")
    shutil.copyfile(root / "LICENSE", folder / "LICENSE")
    stamp(layer)


def licences(environment: Path, folder: Path) -> None:
    """Copy the licence texts of all packages of an environment into a folder of each one's name."""
    for info in sorted(environment.glob("lib/python3.*/site-packages/*.dist-info")):
        name = info.name.split("-")[0]
        for path in sorted(info.rglob("*")):
            if path.is_file() and re.search(
                r"licen[cs]e|copying|notice|authors", path.name, re.IGNORECASE
            ):
                target = folder / name / path.relative_to(info).as_posix().replace("/", "_")
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)


def stamp(folder: Path) -> None:
    """Give a folder and all in it the one time that all layers have."""
    for path in (folder, *folder.rglob("*")):
        os.utime(path, (EPOCH, EPOCH), follow_symlinks=False)


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())


def main(arguments: list[str]) -> None:
    """Run one of the commands that the module's docstring lists."""
    match arguments:
        case ["split", extra, folder]:
            split(extra, Path(folder))
        case ["backend", backend, folder]:
            choose_backend(backend, Path(folder))
        case ["install", layer, target, *weights]:
            install(layer, Path(target), Path(weights[0]) if weights else None)
        case ["keep", image, layer]:
            keep(image, Path(layer))
        case ["stdlib", layer]:
            standard_library(Path(layer))
        case ["finish", layer]:
            finish(Path(layer))
        case ["papers", environment, layer]:
            papers(Path(environment), Path(layer))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
