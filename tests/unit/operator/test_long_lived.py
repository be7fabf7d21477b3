"""What the garbage collector need not go through again and again."""

import gc
from collections.abc import Iterator

import pytest

from splitjob_operator.runtime.long_lived import FEW, LongLived


@pytest.fixture(autouse=True)
def _thaw() -> Iterator[None]:
    yield
    gc.unfreeze()


def kept_by(long_lived: LongLived, count: int) -> bool:
    """Return whether something that came since is set aside."""
    gc.unfreeze()
    long_lived.keep(count)
    return gc.get_freeze_count() > 0


def test_what_there_is_at_first_is_set_aside() -> None:
    assert kept_by(LongLived(), 0)


def test_it_is_set_aside_again_only_once_much_more_has_come() -> None:
    long_lived = LongLived()
    found = [kept_by(long_lived, count) for count in (10_000, 10_001, 10_000 + FEW, 14_000)]
    assert found == [True, False, False, True]
