"""The receiver in docs/webhooks.md does what it says there."""

import re
import time
from pathlib import Path
from typing import Any

from splitjob.signing import Signer

PAGE = Path(__file__).parents[3] / "docs" / "webhooks.md"
BODY = b'{"versionId":"v"}'


def test_the_receiver_of_the_documentation() -> None:
    [code] = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    is_genuine = names["is_genuine"]
    now = int(time.time())

    def headers(token: str, stamp: int) -> dict[str, str]:
        sent = Signer([token]).webhook_headers("e", BODY, stamp)
        return {name.lower(): value for name, value in sent.items()}

    assert is_genuine("token", headers("token", now), BODY)
    assert not is_genuine("token", headers("other", now), BODY)
    assert not is_genuine("token", headers("token", now - 301), BODY)
    assert not is_genuine("token", headers("token", now), BODY + b" ")
    assert not is_genuine("token", {}, BODY)
