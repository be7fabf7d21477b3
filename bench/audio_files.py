"""Real audio files, written with FFmpeg."""

from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]


def tones(rate: int, seconds: float, channels: int) -> Samples:
    """A different tone in each channel, shape (channels, n)."""
    time = np.arange(round(rate * seconds)) / rate
    return np.stack(
        [0.3 * np.sin(2 * np.pi * 110 * (index + 1) * time) for index in range(channels)]
    ).astype(np.float32)


def noise(rate: int, frames: int, seed: int = 0) -> Samples:
    """Noise without its highest third, which lossy codecs leave out; shape (frames, 2)."""
    white = np.random.default_rng(seed).standard_normal((frames + 2, 2))
    spectrum = np.fft.rfft(white, axis=0)
    spectrum[np.fft.rfftfreq(frames + 2, 1 / rate) > min(6000, rate / 3)] = 0
    made = np.fft.irfft(spectrum, frames + 2, axis=0)[:frames]
    loud: Samples = (0.7 * made / np.abs(made).max(initial=1e-9)).astype(np.float32)
    return loud


def write_audio(
    path: Path,
    samples: Samples,
    rate: int = 44100,
    layout: str = "stereo",
    codec: str = "pcm_s16le",
    container: str | None = None,
    bit_rate: int | None = None,
    tags: dict[str, str] | None = None,
) -> Path:
    """Write real audio with FFmpeg; samples have shape (channels, n)."""
    with av.open(str(path), "w", format=container) as file:
        experimental = {"strict": "experimental"}  # as FFmpeg calls its encoder of Vorbis
        stream: Any = file.add_stream(codec, rate=rate, layout=layout, options=experimental)
        if bit_rate:
            stream.bit_rate = bit_rate
        file.metadata.update(tags or {})
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples), format="fltp", layout=layout
        )
        frame.sample_rate = rate
        frame.pts = 0
        stream.codec_context.open(strict=False)
        adapt = av.AudioResampler(
            format=stream.format.name,
            layout=layout,
            rate=rate,
            frame_size=stream.codec_context.frame_size or 1024,
        )
        for part in [*adapt.resample(frame), *adapt.resample(None)]:
            file.mux(stream.encode(part))
        file.mux(stream.encode(None))
    return path
