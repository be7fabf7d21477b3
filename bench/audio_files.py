"""Real audio files, written with FFmpeg."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
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


def rewrite(source: Path, target: Path, container: str, options: dict[str, str]) -> Path:
    """Put the first track of sound into another file; its packets stay as they are.

    Args:
        source: the file that has it.
        target: the file that is written.
        container: FFmpeg's name.
        options: of the container.
    """
    with av.open(str(source)) as given, av.open(str(target), "w", container, options) as made:
        track = made.add_stream_from_template(given.streams.audio[0])
        for packet in given.demux(audio=0):
            if packet.dts is not None:
                packet.stream = track
                made.mux(packet)
    return target


def write_video(
    path: Path,
    pieces: Sequence[tuple[float, Samples]],
    rate: int = 48000,
    codec: str = "aac",
    picture: tuple[float, float] | None = (0.0, 3.0),
) -> Path:
    """Write sound that begins where it is told to, in stereo, beside a black picture.

    Args:
        path: of the file; its name says the container.
        pieces: of the sound, each with the second at which it begins; shape (2, n). All but the
            last are filled up with silence to whole frames of the codec.
        rate: Hz of the sound.
        codec: of the sound.
        picture: from which second to which; None: no picture.
    """
    with av.open(str(path), "w") as file:
        sound: Any = file.add_stream(codec, rate=rate, layout="stereo")
        packets = _pictures(file, *picture) if picture else []
        sound.codec_context.open(strict=False)
        for begin, samples in pieces:
            for frame in _frames(sound, samples, round(begin * rate)):
                packets += sound.encode(frame)
        packets += sound.encode(None)
        for packet in sorted(packets, key=lambda one: one.dts * one.time_base):
            file.mux(packet)
    return path


def _pictures(file: Any, begin: float, end: float) -> list[Any]:
    codec = "flv1" if file.format.name == "flv" else "mpeg4"
    stream = file.add_stream(codec, rate=25)
    stream.width = stream.height = 64
    stream.pix_fmt = "yuv420p"
    stream.codec_context.open(strict=False)
    packets = []
    for number in range(round(begin * 25), round(end * 25)):
        frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
        frame.pts, frame.time_base = number, Fraction(1, 25)
        packets += stream.encode(frame)
    return [*packets, *stream.encode(None)]


def _frames(sound: Any, samples: Samples, place: int) -> Iterator[av.AudioFrame]:
    rate, size = sound.rate, sound.codec_context.frame_size or 1024
    samples = np.pad(samples, ((0, 0), (0, -samples.shape[1] % size)))
    adapt = av.AudioResampler(format=sound.format.name, layout="stereo", rate=rate)
    for begin in range(0, samples.shape[1], size):
        piece = np.ascontiguousarray(samples[:, begin : begin + size])
        frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout="stereo")
        frame.sample_rate = rate
        for part in adapt.resample(frame):
            part.pts, part.time_base = place + begin, Fraction(1, rate)
            yield part
