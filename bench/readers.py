"""Audio files as the programs and libraries of others read them.

`mpg123` is what libsndfile reads mp3 with; the program of that name is used where it is installed.
"""

import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import imageio_ffmpeg
import mutagen
import numpy as np
import soundfile

from bench.audio_files import Samples

Reader = Callable[[Path], Samples]

LONGEST_DELAY = 3000  # samples
_TOO_SHORT_TO_COMPARE = 2000


def ffmpeg(path: Path, start: float = 0) -> Samples:
    """Decode a file of stereo sound with the program FFmpeg.

    Args:
        path: the file.
        start: seconds to pass over.

    Returns: shape (n, 2), at the file's rate.

    Raises:
        ValueError: it found something wrong.
    """
    seek = ("-ss", str(start)) if start else ()  # to seek to 0 is not to leave it
    program = imageio_ffmpeg.get_ffmpeg_exe()
    done = _run(program, "-v", "error", *seek, "-i", path, "-f", "f32le", "-")
    if done.stderr:
        raise ValueError(done.stderr.decode(errors="replace"))
    return _stereo(done.stdout, "<f4")


def mpg123(path: Path) -> Samples:
    """Decode an mp3 with the program mpg123; shape (n, 2)."""
    done = _run("mpg123", "--quiet", "--stereo", "--encoding", "s16", "--stdout", path)
    return _stereo(done.stdout, "<i2") / np.float32(1 << 15)


def libsndfile(path: Path) -> Samples:
    """Decode a file with libsndfile; shape (n, 2).

    Raises:
        ValueError: it found another number of samples than it had told.
    """
    samples, _rate = soundfile.read(path, dtype="float32", always_2d=True)
    if len(samples) != soundfile.info(path).frames:
        raise ValueError(f"{soundfile.info(path).frames} samples told, {len(samples)} found")
    return np.asarray(samples)


READERS: Mapping[str, tuple[Reader, frozenset[str]]] = {
    "ffmpeg": (ffmpeg, frozenset({"wav", "flac", "mp3", "m4a", "opus"})),
    "libsndfile": (libsndfile, frozenset({"wav", "flac", "mp3", "opus"})),
    **({"mpg123": (mpg123, frozenset({"mp3"}))} if shutil.which("mpg123") else {}),
}


def of_format(name: str) -> dict[str, Reader]:
    """Return the readers that know a format, by name."""
    return {reader: read for reader, (read, known) in READERS.items() if name in known}


def told_by_mutagen(path: Path, rate: int) -> int:
    """Return the samples per channel that mutagen tells of a file at a rate in Hz."""
    return round(float(mutagen.File(path).info.length) * rate)


def delay(samples: Samples, sound: Samples) -> int:
    """Return by how many samples a decoded file comes late, 0 where it is too short to tell.

    Args:
        samples: as decoded, shape (n, 2).
        sound: as it was encoded, at the same rate; noise, which is like itself nowhere else.
    """
    both = min(len(samples), len(sound))
    if both < _TOO_SHORT_TO_COMPARE:
        return 0
    size = 2 * both
    spectra = [np.fft.rfft(one[:both, 0], size) for one in (samples, sound)]
    likeness = np.fft.irfft(spectra[0] * spectra[1].conj(), size)
    near = np.concatenate([likeness[:LONGEST_DELAY], likeness[-LONGEST_DELAY:]])
    best = int(near.argmax())
    return best if best < LONGEST_DELAY else best - len(near)


def _run(*command: str | Path) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=True)


def _stereo(data: bytes, kind: str) -> Samples:
    return np.frombuffer(data, kind).reshape(-1, 2)
