"""A short storm over a cluster of its own; `make chaos` has long ones."""

import secrets

import pytest
from tests.conftest import say
from tests.support.waiting import patience

from chaos.storm import short, storm


@pytest.mark.timeout(patience(400))
def test_nothing_is_lost_whatever_dies(on_containers: bool) -> None:
    """Acceptance 51 to 54: another storm at each run, which a failure tells how to have again."""
    if on_containers:
        pytest.skip("the storm is over the processes of the ordinary cluster")
    seed = secrets.randbelow(1_000_000)
    report = storm(short(seed), say)
    if report.found:
        pytest.fail(
            f"{report}\nagain: .venv/bin/python -m chaos --seed {seed} --short", pytrace=False
        )
