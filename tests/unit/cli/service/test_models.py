"""`models`: what can be separated with, and under which licence."""

from typing import Any

from tests.support.fake_service import (
    FakeService,
    gives,
)
from tests.support.service_commands import Run


def test_models_are_a_table_and_each_licence_is_said_once(run: Run, service: FakeService) -> None:
    note = "Weights published by somebody. " * 6

    def model(name: str, licence: str, *, embedded: bool) -> dict[str, Any]:
        return {
            "name": name,
            "stems": ["drums", "bass"],
            "sampleRate": 44100,
            "licenseNote": licence,
            "embedded": embedded,
        }

    demo = model("demo", "MIT", embedded=True)
    others = [model(name, note.strip(), embedded=False) for name in ("large", "larger")]
    service.on("GET /models", gives({"models": [demo, *others]}))
    said = run("models").out
    assert said.splitlines()[:4] == [
        "MODEL    STEMS         RATE       WEIGHTS",
        "demo     drums, bass   44100 Hz   included",
        "large    drums, bass   44100 Hz   needed",
        "larger   drums, bass   44100 Hz   needed",
    ]
    assert "model_unavailable" in said
    assert "licence of demo: MIT" in said
    assert said.count("licence of large, larger: Weights published") == 1
    assert max(map(len, said.splitlines())) <= 100
    assert run("models", "--json").json == {"models": [demo, *others]}
    service.on("GET /models", gives({"models": [demo]}))
    assert "model_unavailable" not in run("models").out
