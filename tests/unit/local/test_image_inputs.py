"""What an image is made of: it is built anew when one of its inputs changes, else never."""

from pathlib import Path

import pytest

from splitjob_local.images.engine import Target
from splitjob_local.images.inputs import (
    ImageSource,
    context_files,
    copied_paths,
    inputs_hash,
    is_ignored,
)

DOCKERFILE = """ARG BASE=python:3.13-slim
FROM ${BASE} AS build
COPY pyproject.toml \\
  common/ ./
COPY --from=build --chmod=755 /opt /opt
RUN --mount=type=bind,source=tools/recipe.py,target=/recipe.py --mount=type=cache,target=/c true
"""


RULES = ["*", "!pyproject.toml", "!common", "!tools", "**/__pycache__", "# a comment", ""]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name in ("pyproject.toml", "common/a.py", "common/__pycache__/a.pyc", "tools/recipe.py"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
    (tmp_path / "secret.txt").write_text("not for an image")
    (tmp_path / "Dockerfile.x").write_text(DOCKERFILE)
    (tmp_path / ".dockerignore").write_text("\n".join(RULES))
    return tmp_path


def test_what_a_dockerfile_takes_from_the_checkout() -> None:
    assert copied_paths(DOCKERFILE) == ["pyproject.toml", "common", "tools/recipe.py"]
    assert copied_paths("COPY . .") == ["."]


@pytest.mark.parametrize(
    ("path", "ignored"),
    [
        ("pyproject.toml", False),
        ("common/deep/a.py", False),
        ("common/deep/__pycache__/a.pyc", True),
        ("secret.txt", True),
        ("docs/pyproject.toml", True),
    ],
)
def test_dockerignore_is_read_as_builders_read_it(path: str, ignored: bool) -> None:
    assert is_ignored(path, RULES) == ignored


def test_only_what_is_copied_and_not_ignored_counts(checkout: Path) -> None:
    names = [file.relative_to(checkout).as_posix() for file in context_files(checkout, DOCKERFILE)]
    assert names == ["common/a.py", "pyproject.toml", "tools/recipe.py"]


def test_an_image_is_the_same_until_one_of_its_inputs_changes(checkout: Path) -> None:
    source = ImageSource(Target("x", "Dockerfile.x", "build"))
    first = inputs_hash(checkout, source, "one")
    (checkout / "secret.txt").write_text("changed")
    assert inputs_hash(checkout, source, "one") == first
    assert inputs_hash(checkout, source, "two") != first
    (checkout / "common" / "a.py").chmod(0o755)
    changed = inputs_hash(checkout, source, "one")
    assert changed != first
    (checkout / "common" / "a.py").write_text("changed")
    assert inputs_hash(checkout, source, "one") not in {first, changed}
