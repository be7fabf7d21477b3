"""The model that the demo takes."""

from pathlib import Path

import pytest

from splitjob_local.demo.audio import (
    UnreadableError,
)
from splitjob_local.demo.models import choose


def test_better_model_only_where_its_weights_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODEL_DIR", str(tmp_path))
    assert choose(own_song=True).name == "demo"
    assert "limited" in choose(own_song=True).words
    (tmp_path / "htdemucs.yaml").write_text("models: ['955717e8']")
    assert choose(own_song=False).name == "demo"
    with pytest.raises(UnreadableError, match="below /tmp"):
        choose(own_song=True)
    monkeypatch.setattr(Path, "is_relative_to", lambda *_: False)
    assert choose(own_song=True).name == "htdemucs"
