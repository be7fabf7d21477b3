"""Where a separation can go on that was broken off: imported without torch.

Only what lies before a position is kept. The segments that reach beyond it are run again, in the
same batches, and added up in the same order: on the same kind of machine, the samples behind it are
the same to the last bit.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from splitjob_worker.spool import Samples


@dataclass(frozen=True)
class RunPosition:
    """Where one model goes on.

    Attributes:
        segment: the first one to run, counted from the song's beginning over all of its passes.
        batch: segments in a batch from there on.
    """

    segment: int
    batch: int


@dataclass(frozen=True)
class Position:
    """Where a separation goes on.

    Attributes:
        frame: the stems before this sample are final.
        runs: of each model that is run, in the bag's order.
        residual_energy: of mixture minus stems before this sample, as `Separation` sums it up.
    """

    frame: int
    runs: tuple[RunPosition, ...]
    residual_energy: float = 0.0


@dataclass(frozen=True)
class Earlier:
    """What is left of an earlier separation of the same song, by the same models and options.

    Attributes:
        position: where it broke off.
        blocks: the stems up to there, in blocks of shape (stems, 2, n).
    """

    position: Position
    blocks: Iterator[Samples]


# Is given each block of the stems as the models give them, shape (stems, 2, n), and where one could
# go on behind it; None: only behind a later block.
KeepStems = Callable[[Samples, Position | None], None]


def keep_nothing(_stems: Samples, _position: Position | None) -> None:
    """Forget a block; see `KeepStems`."""
