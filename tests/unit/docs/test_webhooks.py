"""The code in docs/webhooks.md does what it says there."""

import re
import time
from pathlib import Path
from typing import Any

import pytest

from splitjob.signing import Signer

PAGE = Path(__file__).parents[3] / "docs" / "webhooks.md"
BODY = b'{"versionId":"v","status":"failed","event":"failed","jobId":"split-1"}'


def code(title: str) -> dict[str, Any]:
    """Return what a block of Python on the page defines."""
    [text] = re.findall(rf'```python title="{title}"\n(.*?)```', PAGE.read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    exec(text, names)
    return names


def headers(token: str, stamp: int) -> dict[str, str]:
    sent = Signer([token]).webhook_headers("e", BODY, stamp)
    return {name.lower(): value for name, value in sent.items()}


def test_the_receiver_without_a_package() -> None:
    is_genuine = code("without a package")["is_genuine"]
    now = int(time.time())
    assert is_genuine(["token"], headers("token", now), BODY)
    assert is_genuine(["new", "token"], headers("token", now), BODY)
    assert not is_genuine(["token"], headers("other", now), BODY)
    assert not is_genuine(["token"], headers("token", now - 301), BODY)
    assert not is_genuine(["token"], headers("token", now), BODY + b" ")
    assert not is_genuine(["token"], {}, BODY)


def test_the_receiver_with_this_projects_package(capsys: pytest.CaptureFixture[str]) -> None:
    receive = code("a receiver's core")["receive"]
    now = int(time.time())
    assert receive(BODY, headers("token", now), "new,token") == 204
    assert capsys.readouterr().out == "failed split-1 e failed\n"
    assert receive(BODY, headers("other", now), "new,token") == 401
    assert "none of the tokens" in capsys.readouterr().out
