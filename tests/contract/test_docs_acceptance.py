"""The page of faults and bad inputs against the tests: each case has one, no name is dead."""

import ast
import re
from functools import cache
from pathlib import Path

from splitjob.errors import ErrorCode

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "acceptance.md").read_text()
SHOWN, _, NOT_YET = PAGE.partition("## Not there yet")
ROW = re.compile(r"^\| (?P<case>\d+[abc]?) \|.*\| (?P<tests>[^|]*) \|$", re.MULTILINE)
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
CODE = re.compile(r"`([a-z_]+)`")
# "Acceptance 16 and 17", "acceptance 37 to 39, 44", "Acceptance 46a."
SAID = re.compile(r"\b[Aa]cceptance (\d+[abc]?(?:(?:,| and| to|, and)\s+\d+[abc]?)*)")
LATER = re.compile(r"\d+(?: to \d+)?")
CASES = {row["case"]: NAMED.findall(row["tests"]) for row in ROW.finditer(SHOWN)}
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@cache
def nodes(path: Path) -> list[ast.AST]:
    """Return all that a file consists of."""
    return list(ast.walk(ast.parse(path.read_text())))


@cache
def names_of_tests(path: Path) -> set[str]:
    """Return the names of a file's tests, those of its classes too, and of its state machines."""
    found = set()
    for node in nodes(path):
        if isinstance(node, FUNCTIONS) and node.name.startswith("test_"):
            found.add(node.name)
        elif isinstance(node, ast.Assign):
            names = (target.id for target in node.targets if isinstance(target, ast.Name))
            found.update(name for name in names if name.startswith("Test"))
    return found


@cache
def docstrings() -> list[tuple[Path, str]]:
    return [
        (path.relative_to(ROOT), text)
        for path in sorted((ROOT / "tests").rglob("*.py"))
        for node in nodes(path)
        if isinstance(node, (ast.Module, ast.ClassDef, *FUNCTIONS))
        if (text := ast.get_docstring(node))
    ]


def numbers(said: str) -> set[str]:
    """Return the cases in a list such as `37 to 39, 44 and 46a`."""
    found = set(re.findall(r"\d+[abc]?", said))
    for first, last in re.findall(r"(\d+) to (\d+)", said):
        found.update(map(str, range(int(first), int(last))))
    return found


def test_every_test_that_the_page_names_is_there() -> None:
    named = {(path, test) for tests in CASES.values() for path, test in tests}
    there = {path: names_of_tests(ROOT / path) for path, _ in named if (ROOT / path).is_file()}
    dead = sorted(f"{path}::{test}" for path, test in named if test not in there.get(path, ()))
    assert not dead


def test_every_case_is_there_once_and_names_its_test() -> None:
    listed = [row["case"] for row in ROW.finditer(SHOWN)]
    assert len(listed) == len(CASES) > 70
    whole = [int(case) for case in listed if case.isdigit()]
    assert whole == sorted(whole)
    later = {int(case) for case in numbers(" ".join(LATER.findall(NOT_YET))) if case.isdigit()}
    assert set(range(1, max(whole))) <= {*whole, *later}
    assert not [case for case, tests in CASES.items() if not tests]


def test_a_name_outside_of_the_tables_is_there_too() -> None:
    in_tables = {name for row in ROW.finditer(SHOWN) for name in NAMED.findall(row["tests"])}
    for path, test in set(NAMED.findall(PAGE)) - in_tables:
        assert test in names_of_tests(ROOT / path)


def test_a_docstring_names_only_cases_that_the_page_has() -> None:
    later = numbers(" ".join(LATER.findall(NOT_YET)))
    unknown = [
        f"{path}: {case}"
        for path, text in docstrings()
        for said in SAID.findall(re.sub(r"\s+", " ", text))
        for case in numbers(said) - set(CASES) - later
    ]
    assert not unknown


def test_every_case_is_named_by_a_docstring() -> None:
    """So that a search for `Acceptance 36` finds what shows it."""
    said = {
        case
        for _, text in docstrings()
        for listed in SAID.findall(re.sub(r"\s+", " ", text))
        for case in numbers(listed)
    }
    assert not sorted(set(CASES) - said)


def test_the_codes_are_those_of_the_service() -> None:
    table = SHOWN.partition("## Codes")[2].partition("\n## ")[0]
    first_cells = re.findall(r"^\| ([^|]*) \|", table, re.MULTILINE)
    assert {code for cell in first_cells for code in CODE.findall(cell)} == set(ErrorCode)
