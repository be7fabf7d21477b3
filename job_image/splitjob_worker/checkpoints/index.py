"""What an index says of the ranges beside it."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from splitjob_worker.engine.position import Position, RunPosition


class StoredRange(BaseModel):
    """A range of the stems.

    Attributes:
        key: below the job's folder of checkpoints.
        frames: samples per channel of each stem.
        size: bytes of the object.
        sha256: of the object.
    """

    model_config = ConfigDict(frozen=True)

    key: str
    frames: int = Field(ge=1)
    size: int = Field(ge=1)
    sha256: str


class Index(BaseModel):
    """What of a song is kept, and where one goes on behind it.

    Attributes:
        fingerprint: of the separation: only the same one goes on (`fingerprint`).
        seconds: that it took to come this far.
        frame, runs, residual_energy: as of `Position`; of each run, its segment and batch.
        ranges: one after the other, from the song's beginning.
    """

    model_config = ConfigDict(frozen=True)

    version: Literal[1] = 1  # of all that lies in the bucket: another one is not read
    fingerprint: str
    seconds: float = Field(ge=0)
    frame: int = Field(ge=1)
    runs: tuple[tuple[int, int], ...]
    residual_energy: float
    ranges: tuple[StoredRange, ...]

    @classmethod
    def of(
        cls, fingerprint: str, seconds: float, position: Position, ranges: list[StoredRange]
    ) -> Self:
        """Return the index of ranges that end at a position."""
        return cls(
            fingerprint=fingerprint,
            seconds=seconds,
            frame=position.frame,
            runs=tuple((run.segment, run.batch) for run in position.runs),
            residual_energy=position.residual_energy,
            ranges=tuple(ranges),
        )

    @property
    def position(self) -> Position:
        """Where the separation goes on."""
        runs = tuple(RunPosition(segment, batch) for segment, batch in self.runs)
        return Position(self.frame, runs, self.residual_energy)

    @model_validator(mode="after")
    def _leads_as_far_as_it_says(self) -> Self:
        if sum(one.frames for one in self.ranges) != self.frame:
            raise ValueError("the ranges do not add up")
        return self
