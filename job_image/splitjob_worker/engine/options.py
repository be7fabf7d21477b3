"""What can be asked of a separation; imported without torch.

A job describes what it wants from the engine before torch, which takes seconds, is loaded.
"""

from dataclasses import dataclass
from typing import Literal

Precision = Literal["ieee", "tf32", "fp16", "bf16"]


@dataclass(frozen=True)
class Options:
    """How a song is separated.

    Attributes:
        shifts: random shifts to average over; 0: none.
        overlap: of neighbouring segments, 0 to 0.99.
        seed: of the shifts.
        segment: seconds of a segment, for every model; None: each model's own. An HTDemucs takes
            no more than it was trained on.
        batch: segments in one forward pass; None: as many as the device's free memory allows, on a
            CPU as many as run in parallel (`parallel_passes`).
        precision: of the arithmetic: `ieee` is full fp32.
    """

    shifts: int = 0
    overlap: float = 0.25
    seed: int = 0
    segment: float | None = None
    batch: int | None = None
    precision: Precision = "ieee"


@dataclass(frozen=True)
class Remainder:
    """One more stem: everything but the stems asked for, as Demucs' `--other-method`.

    Attributes:
        name: of the stem.
        method: `minus`: the mixture minus the stems asked for, at no cost; `add`: the sum of all
            other stems of the model, which all have to be separated for it.
    """

    name: str
    method: Literal["minus", "add"] = "minus"
