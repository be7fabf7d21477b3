"""What the worker asks of the machine it runs on."""

import os

import pytest

from splitjob_worker.machine import yield_idle_cpus


def test_threads_spin_briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    yield_idle_cpus()
    assert 0 < int(os.environ["GOMP_SPINCOUNT"]) < 300_000  # libgomp's own


@pytest.mark.parametrize(
    ("name", "value"), [("OMP_WAIT_POLICY", "ACTIVE"), ("GOMP_SPINCOUNT", "7")]
)
def test_what_the_environment_says_stays(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    monkeypatch.setenv(name, value)
    yield_idle_cpus()
    assert os.environ[name] == value
    assert "OMP_WAIT_POLICY" not in os.environ or "GOMP_SPINCOUNT" not in os.environ
