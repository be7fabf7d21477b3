"""The commands that call a service: what they are asked with here, and what they say."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

SONG = "https://example.com/My%20Song!.wav?X-Amz-Signature=secret"
WEBHOOK = "https://hooks.example.com/stems"


@dataclass
class Said:
    """What a command said."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Said]
