"""What audio is accepted, and what is known of it once it is decoded."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the decoder imports numpy only once it is confined
    from splitjob_worker.normalisation import Normalisation

MIN_SECONDS = 0.16
MIN_RATE, MAX_RATE, MAX_CHANNELS = 1_000, 384_000, 32
MAX_MAGNITUDE = 256.0  # +48 dBFS; more is damage, and would spoil mean and deviation of the song


@dataclass(frozen=True)
class AudioLimits:
    """What the decoder may produce and use.

    Attributes:
        rate: Hz of the spool.
        max_seconds: of audio.
        max_lost_percent: of the audio that may be damaged or missing.
        memory_bytes: address space of the process.
        cpu_seconds: of the process.
    """

    rate: int
    max_seconds: int
    max_lost_percent: int = 100
    memory_bytes: int = 4 << 30
    cpu_seconds: int = 600


@dataclass(frozen=True)
class Decoded:
    """What a file held.

    Attributes:
        frames: samples per channel at the spool's rate.
        source_frames: samples per channel at the source's rate.
        source_rate: Hz.
        source_channels: channels of the source.
        normalisation: of the spool.
        damaged_seconds: for which there is silence, because packets could not be decoded, or
            because samples were not finite or absurdly loud.
        missing_seconds: that the file says it has and does not.
        tags: of the file, as `tags.cleaned` returns them.
    """

    frames: int
    source_frames: int
    source_rate: int
    source_channels: int
    normalisation: "Normalisation"
    damaged_seconds: float = 0
    missing_seconds: float = 0
    tags: dict[str, str] = field(default_factory=dict)
