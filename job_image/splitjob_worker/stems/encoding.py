"""How stems are encoded: format, bit depth, bit rate, clip mode.

Imports nothing that takes long, so that a job can describe its files before numpy is loaded.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from splitjob import formats, spec
from splitjob.resource import Format

BitDepth = Literal[16, 24, 32]
ClipMode = spec.ClipMode | Literal["tanh"]

DEFAULT_BITRATES = {"mp3": 320, "m4a": 256, "opus": 160}
DEFAULT_MP3_PRESET = 2  # Demucs' own: LAME's quality, 2 the best, 7 the fastest
OPUS_RATE = 48_000  # Opus knows few rates; this is the one that every player decodes to
CONTENT_TYPES = {
    "wav": "audio/wav",
    "flac": "audio/flac",
    "mp3": "audio/mpeg",
    "m4a": "audio/mp4",
    "opus": "audio/ogg",
}
_CHANNELS = 2
_LOSSY_SPREAD = 1.25  # a variable bit rate may end above the one asked for
_OVERHEAD_BYTES = 1 << 16  # headers, tags and the like


@dataclass(frozen=True)
class Encoding:
    """How the stems of a song are encoded.

    Attributes:
        format: container and codec.
        bit_depth: of wav (16, 24, 32 float) and flac (16, 24).
        bitrate_kbps: of the lossy formats; None: `DEFAULT_BITRATES`.
        clip_mode: what is done to samples above full scale.
        mp3_preset: LAME's quality, 2 (the best) to 7 (the fastest).
        sample_rate: Hz of the files; None: the model's. Opus is always at `OPUS_RATE`.
        tags: of the song, as `source.tags.cleaned` returns them.
        waveforms: whether each file gets its waveform beside it, and the mixture one too.
    """

    format: Format = "wav"
    bit_depth: BitDepth = 16
    bitrate_kbps: int | None = None
    clip_mode: ClipMode = "rescale"
    mp3_preset: int = DEFAULT_MP3_PRESET
    sample_rate: int | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    waveforms: bool = False

    @property
    def bounded(self) -> bool:
        """Whether the format cannot hold samples above full scale, as all but float wav."""
        return not (self.format == "wav" and self.bit_depth == 32)

    @property
    def full_scale(self) -> int:
        """The whole number that stands for 1 in a wav or flac.

        2^(bits - 1) - 1 as Demucs has it; in the clip mode `exact` 2^(bits - 1), of which readers
        take a sample to be a share.
        """
        exact = self.clip_mode == "exact"
        return (1 << self.bit_depth - 1) - (0 if exact else 1)

    @property
    def bitrate(self) -> int:
        """The bit rate in kbit/s, 0 for lossless formats."""
        return self.bitrate_kbps or DEFAULT_BITRATES.get(self.format, 0)

    @property
    def content_type(self) -> str:
        """The media type of the files."""
        return CONTENT_TYPES[self.format]

    def rate(self, model_rate: int) -> int:
        """Return the sample rate of the file in Hz, for stems at `model_rate` Hz.

        Raises:
            ValueError: the format has no such rate; the text says which it has.
        """
        rate = OPUS_RATE if self.format == "opus" else self.sample_rate or model_rate
        if problem := formats.sample_rate_problem(self.format, rate):
            raise ValueError(problem)
        return rate

    def max_bytes(self, frames: int, model_rate: int) -> int:
        """Return the largest size of a file in bytes.

        Args:
            frames: samples per channel of the stem.
            model_rate: Hz of the stem.
        """
        rate = self.rate(model_rate)
        samples = frames * rate // model_rate
        if self.bitrate:
            audio = round(samples / rate * self.bitrate * 125 * _LOSSY_SPREAD)
        else:
            audio = samples * _CHANNELS * self.bit_depth // 8
        return audio + audio // 64 + _OVERHEAD_BYTES
