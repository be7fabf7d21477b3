"""A short storm over a cluster of its own; `make chaos` has long ones."""

import pytest
from tests.conftest import say
from tests.support.waiting import patience

from chaos.storm import short, storm

SEED = 365233  # a Job is deleted without its pod while the scheduler is away


@pytest.mark.timeout(patience(400))
def test_nothing_is_lost_whatever_dies(on_containers: bool) -> None:
    """Acceptance 51 to 54: one storm, always the same; `make chaos` has others."""
    if on_containers:
        pytest.skip("the storm is over the processes of the ordinary cluster")
    report = storm(short(SEED), say)
    if report.found:
        pytest.fail(
            f"{report}\nagain: .venv/bin/python -m chaos --seed {SEED} --short", pytrace=False
        )
