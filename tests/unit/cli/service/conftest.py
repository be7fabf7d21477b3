"""The commands against a real HTTP server: words, exit statuses, secrets."""

from collections.abc import Iterator

import pytest
from tests.support.fake_service import TOKEN, FakeService, fake_service
from tests.support.service_commands import WEBHOOK, Run, Said

from track_tree_audio import main as cli


@pytest.fixture
def service() -> Iterator[FakeService]:
    with fake_service() as running:
        yield running


@pytest.fixture
def run(
    service: FakeService, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Run a command with the environment of a caller; no word of it holds the token."""
    monkeypatch.setenv("API_URL", service.url)
    monkeypatch.setenv("DEMUCSSVC_TOKEN", f"{TOKEN},an-older-one")
    monkeypatch.delenv("KUBERNETES_TOKEN", raising=False)
    monkeypatch.setenv("WEBHOOK", WEBHOOK)

    def command(*words: str) -> Said:
        status = cli.main(words)
        said = capsys.readouterr()
        assert TOKEN not in said.out + said.err
        return Said(status, said.out, said.err)

    return command
