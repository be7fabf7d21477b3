"""The song of the demo: synthesised with known stems, or a file of the user's."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from splitjob_local.demo.audio import Signal, UnreadableError, decode, write_wav

RATE = 44100
SECONDS = 30.0
SEED = 2026
FORMATS = (".mp3", ".flac", ".wav", ".m4a", ".ogg", ".opus", ".aac", ".aiff", ".aif", ".webm")


@dataclass(frozen=True)
class Song:
    """A song to separate.

    Attributes:
        file: in the demo's folder.
        title: for display.
        rate: sample rate of `mixture`, Hz.
        mixture: shape (2, n), decoded by the demo itself.
        stems: what it was mixed from; None for a song of the user's.
    """

    file: Path
    title: str
    rate: int
    mixture: Signal
    stems: dict[str, Signal] | None = None

    @property
    def seconds(self) -> float:
        """Its length in seconds."""
        return float(self.mixture.shape[1]) / self.rate


def synthesise(folder: Path) -> Song:
    """Compose a song that the demo model was not trained on, and write its mixture as WAV."""
    # scipy takes a second or two to import; here that passes while the cluster starts.
    from splitjob_synth import render_song  # noqa: PLC0415

    stems = render_song(SEED, SECONDS, "heldout")
    mixture = sum(stems.values(), start=0 * stems["drums"])
    file = folder / "song.wav"
    write_wav(file, mixture, RATE)
    return Song(file, "A synthesised song", RATE, decode(file, RATE), dict(stems))


def take(path: Path, folder: Path) -> Song:
    """Copy a song of the user's into the demo's folder and decode it.

    Raises:
        UnreadableError: it is not there, or holds no audio of a known format.
    """
    if not path.is_file():
        raise UnreadableError(f"there is no file {path}")
    if path.suffix.lower() not in FORMATS:
        raise UnreadableError(f"{path}: take one of {', '.join(FORMATS)}")
    file = folder / f"song{path.suffix.lower()}"
    if file.resolve() != path.resolve():
        shutil.copyfile(path, file)
    return Song(file, path.stem, RATE, decode(file, RATE))
