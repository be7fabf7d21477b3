"""The storms' stand-in for the model: it is called as the real one is."""

import inspect
from collections.abc import Callable

from chaos import stand_in
from splitjob_worker.engine.separator import Separator
from splitjob_worker.pipeline import SongSeparator

PUT_IN_ITS_PLACE: Callable[..., SongSeparator] = stand_in.Separator  # mypy checks that it fits


def test_it_takes_what_the_real_one_takes() -> None:
    real, stand = (
        inspect.signature(one.separate).parameters for one in (Separator, stand_in.Separator)
    )
    assert list(real) == list(stand)
