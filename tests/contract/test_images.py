"""The Dockerfiles against the project: no container engine is needed to see that they fit it."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from splitjob_local.images import TARGETS
from splitjob_local.images.recipe import LAYERS, LEFT_OUT, PROGRAMS, layers, locked

ROOT = Path(__file__).parents[2]
COMMANDS = {
    "api": "python -m splitjob_api",
    "operator": "kopf run --standalone -m splitjob_operator.runtime.kopf_app",
    "worker": "python -m splitjob_worker",
}
FILES = sorted({target.file for target in TARGETS.values()})
LOCK = (ROOT / "requirements.lock").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
FROM_A_STAGE = re.compile(r"^COPY --from=(\S+) (\S+) (\S+)$", re.MULTILINE)


def stages(file: str) -> dict[str, str]:
    """Return the text of each stage of a Dockerfile by name."""
    blocks = re.split(r"^FROM ", (ROOT / file).read_text(), flags=re.MULTILINE)
    return {block.split("\n")[0].split(" AS ")[1]: block for block in blocks[1:]}


def lineage(file: str, stage: str) -> str:
    """Return the text of a stage and of those that it is made from, from the bottom up."""
    text = stages(file)[stage]
    parent = text.split()[0]
    return (lineage(file, parent) if parent in stages(file) else "") + text


@pytest.mark.parametrize("name", COMMANDS)
def test_each_image_runs_its_program(name: str) -> None:
    target = TARGETS[name]
    command = ", ".join(f'"{word}"' for word in COMMANDS[name].split())
    assert f"CMD [{command}]" in stages(target.file)[target.stage]


@pytest.mark.parametrize("name", COMMANDS)
def test_images_do_not_run_as_root_and_need_no_name_for_their_user(name: str) -> None:
    """The chart's pods say runAsUser 65532, which no /etc/passwd has: HOME and USER are given."""
    text = lineage(TARGETS[name].file, TARGETS[name].stage)
    assert re.findall(r"^USER (.*)$", text, re.MULTILINE)[-1] == "65532:65532"
    assert re.search(r"\bHOME=/tmp\b", text)
    assert re.search(r"\bUSER=\S+ LOGNAME=\S+", text)


@pytest.mark.parametrize("file", FILES)
def test_the_base_is_an_argument_and_every_stage_starts_from_it(file: str) -> None:
    text = (ROOT / file).read_text()
    assert re.search(r"^ARG BASE=python:3\.13-slim$", text, re.MULTILINE)
    bases = {block.split()[0] for block in stages(file).values()}
    assert bases - stages(file).keys() <= {"${BASE}", "scratch"}


@pytest.mark.parametrize("file", FILES)
def test_nothing_is_installed_but_by_the_lock_file(file: str) -> None:
    """Only the recipe installs packages, and it checks hashes."""
    text = (ROOT / file).read_text()
    assert len(re.findall(r"\bpip\b.*\binstall\b", text)) == 1
    assert "pip install --quiet --cache-dir /cache/pip --disable-pip-version-check" in text
    assert text.count("--require-hashes") == 1
    assert not re.search(r"apt-get|curl|wget|ADD ", text)


@pytest.mark.parametrize("path", [*FILES, "local/splitjob_local/images/recipe.py"])
def test_no_registry_is_named(path: str) -> None:
    """Where images and packages come from is for the engine's and the tools' own settings."""
    assert not re.search(r"\b[\w-]+\.(io|org|com|dev)\b(?!/gabi|/opencontainers)", _code(path))


def _code(path: str) -> str:
    text = (ROOT / path).read_text()
    return re.sub(r"http://refspecs\S+|org\.opencontainers\.image\.\w+", "", text)


@pytest.mark.parametrize(
    ("name", "order"),
    [
        ("operator", ["tools", "shared", "rest-operator", "papers-operator", "project-operator"]),
        ("api", ["tools", "shared", "rest-api", "papers-api", "project-api"]),
        ("worker", ["tools", "cuda", "torch", "rest", "papers", "weights", "project", "project"]),
    ],
)
def test_what_changes_most_is_the_last_layer(name: str, order: list[str]) -> None:
    text = lineage(TARGETS[name].file, TARGETS[name].stage)
    assert [stage for stage, _, _ in FROM_A_STAGE.findall(text)] == order
    assert not re.search(r"^(RUN|ADD)", text, re.MULTILINE), "a layer is what one stage has made"


@pytest.mark.parametrize(
    ("name", "stage", "image"),
    [
        ("operator", "project-operator", "operator"),
        ("api", "project-api", "api"),
        ("worker", "project", "job"),
    ],
)
def test_each_image_has_the_code_of_its_own_program(name: str, stage: str, image: str) -> None:
    """That no program imports another, and nothing that they share imports one, is linted."""
    target = TARGETS[name]
    assert f"recipe.py keep {image} /layer" in stages(target.file)[stage]
    command = re.findall(r"^CMD (.*)$", stages(target.file)[target.stage], re.MULTILINE)
    assert PROGRAMS[image] in command[0]


@pytest.mark.parametrize("extra", LAYERS)
def test_the_layers_hold_exactly_what_the_installed_packages_say_they_need(extra: str) -> None:
    """The recipe reads the lock file's comments; this reads the packages' own metadata."""
    text = "".join(layers(extra, PROJECT, locked(LOCK)).values())
    found = set(re.findall(r"^([\w.-]+)==", text, re.MULTILINE))
    wanted = _needed([*PROJECT["dependencies"], *PROJECT["optional-dependencies"][extra]])
    assert wanted - LEFT_OUT.get(extra, set()) - found == set(), "needed, but in no layer"
    assert not found & {"pytest", "mypy", "ruff", "uv", "cyclonedx-bom"}, "for developers only"


def _needed(requirements: list[str]) -> set[str]:
    found: set[str] = set()
    todo = [(one, "") for one in requirements]
    seen = set()
    while todo:
        text, extra = todo.pop()
        requirement = Requirement(text)
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = re.sub(r"[-_.]+", "-", requirement.name).lower()
        found.add(name)
        for wanted in {"", *requirement.extras}:
            if (name, wanted) not in seen:
                seen.add((name, wanted))
                todo += [(one, wanted) for one in distribution(name).requires or ()]
    return found


def test_cuda_and_torch_are_layers_of_their_own() -> None:
    found = layers("job", PROJECT, locked(LOCK))
    assert list(found) == ["cuda", "torch", "rest"]
    assert re.findall(r"^([\w.-]+)==", found["torch"], re.MULTILINE) == ["torch", "triton"]
    assert "nvidia-cublas==" in found["cuda"]
    assert not re.search(r"^(nvidia|cuda|torch|triton)", found["rest"], re.MULTILINE)


def test_both_programs_of_the_control_plane_share_their_lowest_layer() -> None:
    api, operator = (layers(one, PROJECT, locked(LOCK)) for one in ("api", "operator"))
    assert api["shared"] == operator["shared"]
    assert "httptools==" in api["shared"]


def test_no_program_of_the_control_plane_has_the_kubernetes_library() -> None:
    """Nor kopf then, which imports it where it is installed: 45 MB of memory for nothing."""
    for program in ("api", "operator"):
        assert "kubernetes==" not in "".join(layers(program, PROJECT, locked(LOCK)).values())


def test_drivers_are_found_where_gke_mounts_them() -> None:
    """There is no NVIDIA container toolkit on those nodes, nothing else tells the loader."""
    text = stages("Dockerfile.job")["dependencies"]
    assert "LD_LIBRARY_PATH=/usr/local/nvidia/lib:/usr/local/nvidia/lib64" in text


def test_the_build_context_holds_what_the_wheel_needs() -> None:
    sent = {
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[0] == "!"
    }
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    for needed in [*packages, project["project"]["readme"], "requirements.lock", "pyproject.toml"]:
        assert any(needed == one or needed.startswith(f"{one}/") for one in sent), needed
        assert (ROOT / needed).exists()


def test_every_python_gets_the_same_versions() -> None:
    """The images may have another Python than these tests: what runs there was tested here."""
    pins = re.findall(r"^([\w.-]+)==", LOCK, re.MULTILINE)
    assert len(pins) > 100
    assert len(pins) == len(set(pins))


@pytest.mark.parametrize("file", FILES)
def test_hadolint_finds_nothing(file: str) -> None:
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    if hadolint is None:
        pytest.skip("hadolint's package has programs for Linux on x86-64 only")
    done = subprocess.run(
        [hadolint, "--format", "json", ROOT / file], check=False, capture_output=True, text=True
    )
    assert [(one["line"], one["code"], one["message"]) for one in json.loads(done.stdout)] == []
