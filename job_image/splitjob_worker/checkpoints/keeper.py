"""What a song asks of its checkpoints; imported without boto3."""

from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

from splitjob_worker.engine.position import Earlier, Position
from splitjob_worker.spool import Samples


class Keeper(Protocol):
    """Keeps the stems of a song while it is separated; a context manager around that."""

    def open(
        self, stems: int, needed_bytes: int, check_cancelled: Callable[[], None]
    ) -> Earlier | None:
        """Return what runs before have kept of the song; None: nothing to go on from.

        Args:
            stems: how many the models give.
            needed_bytes: of the scratch disk that the song still takes.
            check_cancelled: raises to stop.
        """

    def keep(self, stems: Samples, position: Position | None) -> None:
        """Keep the next block; see `engine.position.KeepStems`."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class KeepNothing:
    """A `Keeper` for songs that are separated anew where they are broken off."""

    def open(self, _stems: int, _needed_bytes: int, _check_cancelled: Callable[[], None]) -> None:
        """Return None."""

    def keep(self, _stems: Samples, _position: Position | None) -> None:
        """Do nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...
