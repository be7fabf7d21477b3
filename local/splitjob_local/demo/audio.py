"""Reading and writing audio, with FFmpeg's libraries through PyAV."""

import io
import wave
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from av import AudioStream
from av.container import InputContainer
from av.stream import Disposition

Signal = npt.NDArray[np.float32]


class UnreadableError(Exception):
    """A file holds no audio that can be decoded."""


def decode(file: Path, rate: int) -> Signal:
    """Return the audio of a file as float32 of shape (2, n), full scale 1.

    Mono is copied to both channels; more than two channels are mixed down by FFmpeg. Damaged parts
    are skipped, as players do.

    Args:
        file: any format FFmpeg reads; its default audio track is used, else the first.
        rate: sample rate of the result, Hz.

    Raises:
        UnreadableError: there is no audio in it.
    """
    blocks: list[Signal] = []
    try:
        with av.open(str(file), metadata_errors="ignore") as container:
            track = _default_track(container)
            mono = track.layout.nb_channels == 1
            layout = "mono" if mono else "stereo"
            resampler = av.AudioResampler(format="fltp", layout=layout, rate=rate)
            for frame in _frames(container, track):
                blocks += map(_samples, resampler.resample(frame))
            blocks += map(_samples, resampler.resample(None))
        length = _declared_length(file, rate)
    except (av.FFmpegError, IndexError, OSError, ValueError) as error:
        raise UnreadableError(f"{file} holds no audio that can be read: {error}") from None
    if not blocks:
        raise UnreadableError(f"{file} holds no audio")
    signal = np.concatenate(blocks, axis=1)[:, :length]
    return np.repeat(signal, 2, axis=0) if mono else signal


def _default_track(container: InputContainer) -> AudioStream:
    tracks = container.streams.audio
    return next((one for one in tracks if one.disposition & Disposition.default), tracks[0])


def _frames(container: InputContainer, track: AudioStream) -> Iterator[av.AudioFrame]:
    """Yield the frames that can be decoded; many files end with other data, such as a tag."""
    begun = False
    try:
        for packet in container.demux(track):
            with suppress(av.FFmpegError):
                for frame in packet.decode():
                    begun = True
                    yield frame
    except av.FFmpegError:
        if not begun:
            raise


def _declared_length(file: Path, rate: int) -> int | None:
    """Return the length in samples that an m4a or mp4 declares; FFmpeg pads the last frame.

    It is in the sample table if its last entry is shorter than the first, else in the edit list.
    """
    with av.open(str(file), metadata_errors="ignore") as container:
        track = _default_track(container)
        if not container.format.name.startswith("mov") or not track.duration:
            return None
        packets = [
            (one.pts, one.duration)
            for one in container.demux(track)
            if one.pts is not None and one.duration
        ]
        end, unit = (track.start_time or 0) + track.duration, track.time_base
    if packets and packets[-1][1] < packets[0][1]:
        end = sum(packets[-1])
    return int(end * unit * rate) if unit else None


def _samples(frame: av.AudioFrame) -> Signal:
    return frame.to_ndarray().astype(np.float32, copy=False)


def write_wav(file: Path, signal: Signal, rate: int) -> None:
    """Write a signal of shape (channels, n) as 16 bit WAV, limited to full scale."""
    samples = np.clip(np.rint(signal * 32767), -32768, 32767).astype("<i2")
    with wave.open(str(file), "wb") as out:
        out.setnchannels(signal.shape[0])
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(samples.T.tobytes())


def to_webm(signal: Signal, rate: int, kbps: int) -> bytes:
    """Return a signal of shape (2, n) as Opus in WebM, which is small and plays in every browser.

    Args:
        signal: full scale 1.
        rate: Hz.
        kbps: bit rate in kbit/s.
    """
    out = io.BytesIO()
    with av.open(out, "w", format="webm") as container:
        # The fastest setting of the encoder is good enough for a page.
        stream = container.add_stream("libopus", rate=48000, options={"compression_level": "0"})
        stream.bit_rate = kbps * 1000
        stream.layout = "stereo"
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(signal), "fltp", "stereo")
        frame.sample_rate = rate
        converter = av.AudioResampler(format="flt", layout="stereo", rate=48000, frame_size=960)
        for part in [*converter.resample(frame), *converter.resample(None)]:
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    return out.getvalue()


def rms_dbfs(signal: Signal) -> float:
    """Return the RMS of a signal in dB of full scale; -120 for silence."""
    mean_square = float(np.mean(np.square(signal, dtype=np.float64))) if signal.size else 0.0
    return 10 * float(np.log10(max(mean_square, 1e-12)))


def sdr(reference: Signal, estimate: Signal) -> float:
    """Return the signal-to-distortion ratio of a stem over the whole song, dB.

    The metric of the Music Demixing challenge 2021:
    10 log10((sum s^2 + 1e-7) / (sum (s - e)^2 + 1e-7)).
    """
    length = min(reference.shape[1], estimate.shape[1])
    wanted = reference[:, :length].astype(np.float64)
    error = wanted - estimate[:, :length]
    return 10 * float(np.log10((np.sum(wanted**2) + 1e-7) / (np.sum(error**2) + 1e-7)))
