"""Files, folders, modules and tests that the documentation names are there."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text()
FILE = re.compile(r"(?<![\w./-])(?:[\w-]+/)*[\w-]+\.(?:py|yaml|json)\b")
# A module of ours, and perhaps a name in it: splitjob_io.storage.S3Service
MODULE = re.compile(r"\b(?:splitjob_[a-z]+|training)(?:\.[a-z]\w*)+(?:\.[A-Z]\w*)?")
TEST = re.compile(r"`(test_\w+(?:\.py)?)`")
DOCUMENT = re.compile(r"(?<![\w./:-])[\w./-]+\.md\b")
FENCE = re.compile(r"^```\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`\n]+)`")
NOT_FILES = {"manifest.json"}  # of the bucket, not of the repository
WRITTEN = {"bench/out/results.json"}  # by a command that the page names


@pytest.fixture(scope="module")
def files() -> list[str]:
    """What the repository holds, new files included."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    return [name for name in listed.stdout.splitlines() if (ROOT / name).exists()]


def matches(name: str, files: list[str]) -> list[str]:
    """Return the files whose path is, or ends with, a name."""
    return [file for file in files if f"/{file}".endswith(f"/{name}")]


def test_each_file_in_a_picture_of_the_architecture_is_one_file(files: list[str]) -> None:
    named = {name for picture in FENCE.findall(ARCHITECTURE) for name in FILE.findall(picture)}
    assert len(named - NOT_FILES) > 20
    wrong = {name: matches(name, files) for name in named - NOT_FILES}
    assert not {name: found for name, found in wrong.items() if len(found) != 1}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_paths_that_a_page_names_are_there(page: Path, files: list[str]) -> None:
    folders = {str(parent) for file in files for parent in Path(file).parents}
    tops = {Path(file).parts[0] for file in files if "/" in file}
    named = {
        code.partition("::")[0].rstrip("/")
        for code in CODE.findall(page.read_text())
        if "/" in code and code.partition("/")[0] in tops and re.fullmatch(r"[\w./:-]+", code)
    }
    assert not sorted(named - set(files) - folders - WRITTEN)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_modules_that_a_page_names_are_there(page: Path, files: list[str]) -> None:
    assert not [name for name in MODULE.findall(page.read_text()) if not is_there(name, files)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_tests_that_a_page_names_are_there(page: Path) -> None:
    named = set(TEST.findall(page.read_text()))
    tests = {file.name: file.read_text() for file in (ROOT / "tests").rglob("test_*.py")}
    defined = "\n".join(tests.values())
    assert not [name for name in named - set(tests) if f"def {name}(" not in defined]


def test_documents_that_the_code_names_are_there(files: list[str]) -> None:
    places = ("api/", "bench/", "charts/", "cli/", "common/", "job_image/", "local/", "operator/")
    wrong = [
        f"{file} names {name}"
        for file in files
        if file.startswith((*places, "training/", "Dockerfile", "Makefile", "pyproject.toml"))
        and file.endswith((".py", ".yaml", ".tpl", ".txt", ".toml", ".job", ".operator", "file"))
        for name in DOCUMENT.findall((ROOT / file).read_text())
        if not matches(name, files)
    ]
    assert not wrong


def is_there(name: str, files: list[str]) -> bool:
    """Whether a dotted name is a module of ours, or one that a module of ours holds."""
    module, _, member = name.replace(".", "/").rpartition("/")
    if forms(f"{module}/{member}", files):
        return True
    return any(
        re.search(rf"\b{member}\b", (ROOT / file).read_text()) for file in forms(module, files)
    )


def forms(module: str, files: list[str]) -> list[str]:
    return [*matches(f"{module}.py", files), *matches(f"{module}/__init__.py", files)]


def test_a_path_that_is_not_there_is_noticed(files: list[str]) -> None:
    assert matches("core/reconcile.py", files)
    assert not matches("core/nothing.py", files)
    assert is_there("splitjob_io.storage.S3Service", files)
    assert not is_there("splitjob_io.storage.S4Service", files)
