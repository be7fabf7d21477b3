"""The page for callers against the code: errors, and how to sign."""

import re
from pathlib import Path
from typing import Any

from splitjob.signing import Signer

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "integrate.md").read_text()
API = ROOT / "api" / "splitjob_api"
PROBLEM = re.compile(r"(?:ApiError|retry_later)\(\s*(\d{3}),\s*\"(\w+)\"")
# Answers to defects and to paths and methods that are not there.
NOT_LISTED = {"internal_error"}


def test_every_error_of_the_api_is_listed_with_its_status() -> None:
    raised = {
        (status, code)
        for file in API.rglob("*.py")
        for status, code in PROBLEM.findall(file.read_text())
        if code not in NOT_LISTED
    }
    assert len(raised) > 8
    table = PAGE.partition("## Errors")[2]
    for status, code in raised:
        assert re.search(rf"^\| [\d, ]*{status}[\d, ]* \|[^|]*`{code}`", table, re.MULTILINE), code


def test_what_the_python_on_the_page_signs_is_accepted() -> None:
    [code] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    headers = names["signed"]("token", b"GET /models")
    stamp = headers["X-Timestamp"]
    Signer(["token"]).verify(b"GET /models", stamp, headers["X-Signature"], int(stamp))
