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


def test_address_and_token_have_the_same_names_on_every_page_and_in_every_sample() -> None:
    """They are the variables that the command and the client read."""
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "charts").rglob("*.md")]
    texts = {file: file.read_text() for file in [*pages, *API.rglob("*.py"), *API.rglob("*.js")]}
    other = re.compile(r"\$\{?(?:TOKEN|API|URL_OF_API|API_TOKEN)\b")
    assert {file.name for file, text in texts.items() if other.search(text)} == set()
    for name in ("API_URL", "DEMUCSSVC_TOKEN"):
        named = re.compile(rf"\$\{{?{name}\b")
        found = {file.name for file, text in texts.items() if named.search(text)}
        assert found >= {"README.md", "any-cluster.md", "integrate.md", "curl_samples.py"}


def test_what_the_python_on_the_page_signs_is_accepted() -> None:
    [code] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    headers = names["signed"]("token", b"GET /models")
    stamp = headers["X-Timestamp"]
    Signer(["token"]).verify(b"GET /models", stamp, headers["X-Signature"], int(stamp))
