"""The Dockerfiles against the project: no container engine is needed to see that they fit it."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TARGETS = {
    ("Dockerfile.operator", "api"): "python -m splitjob_api",
    ("Dockerfile.operator", "operator"): "kopf run --standalone -m splitjob_operator.main",
    ("Dockerfile.job", "job"): "python -m splitjob_worker",
}


@pytest.mark.parametrize(("file", "extra"), TARGETS)
def test_each_image_installs_its_own_extra(file: str, extra: str) -> None:
    text = (ROOT / file).read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert extra in project["optional-dependencies"]
    assert f'"$(echo /dist/*.whl)[{extra}]"' in text
    assert text.count("--constraints requirements.lock") == text.count("uv pip install")
    command = ", ".join(f'"{word}"' for word in TARGETS[file, extra].split())
    assert f"CMD [{command}]" in text


@pytest.mark.parametrize("file", sorted({file for file, _ in TARGETS}))
def test_images_do_not_run_as_root(file: str) -> None:
    """The chart's pods say runAsUser 65532: the images agree."""
    assert re.search(r"^USER 65532:65532$", (ROOT / file).read_text(), re.MULTILINE)


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
    pins = re.findall(r"^([\w.-]+)==", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    assert len(pins) > 100
    assert len(pins) == len(set(pins))
