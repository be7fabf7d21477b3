"""The training songs: rendered once into a cache, then cut and remixed at random."""

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from splitjob_synth import SAMPLERATE, STEMS, render_song
from training.augment import change_colour, draw_speed, resample

SONG_SECONDS = 20.0
FULL_SCALE = 32_767.0
Batch = NDArray[np.float32]


def song_path(folder: Path, seed: int) -> Path:
    """The file of a rendered song."""
    return folder / f"song-{seed:05d}.npy"


def render_to_cache(folder: Path, seed: int) -> None:
    """Render a training song as int16 of shape (stems, 2, n), unless it is there already."""
    path = song_path(folder, seed)
    if path.exists():
        return
    stems = render_song(seed, SONG_SECONDS, "train")
    audio = np.stack([stems[name] for name in STEMS])
    scaled = np.clip(np.round(audio * FULL_SCALE), -FULL_SCALE, FULL_SCALE).astype(np.int16)
    unfinished = path.with_suffix(f".{os.getpid()}.part")
    with unfinished.open("wb") as file:
        np.save(file, scaled)
    unfinished.replace(path)


def render_all(folder: Path, songs: int, processes: int) -> None:
    """Render the missing songs of those with seeds 0 to songs - 1."""
    folder.mkdir(parents=True, exist_ok=True)
    missing = [seed for seed in range(songs) if not song_path(folder, seed).exists()]
    if not missing:
        return
    print(f"rendering {len(missing)} songs of {SONG_SECONDS:g} s into {folder}", flush=True)
    with ProcessPoolExecutor(processes) as pool:
        rendered = pool.map(render_to_cache, [folder] * len(missing), missing)
        for count, _ in enumerate(rendered, start=1):
            if count % 50 == 0 or count == len(missing):
                print(f"  {count} of {len(missing)}", flush=True)


@dataclass(frozen=True)
class Excerpt:
    """An excerpt: the song, its first sample there, and the playback speed."""

    song: int
    start: int
    speed: float


class Mixer:
    """Draws training examples: stems of one song or of several, changed at random.

    Args:
        folder: where the rendered songs lie.
        songs: how many of them to use.
        samples: length of an example.
        seed: of all the choices.
    """

    def __init__(self, folder: Path, songs: int, samples: int, seed: int) -> None:
        self._songs = [np.load(song_path(folder, s), mmap_mode="r") for s in range(songs)]
        self._samples = samples
        self._rng = np.random.default_rng(seed)

    def batches(self, size: int) -> Iterator[Batch]:
        """Yield examples for ever, each array of shape (size, stems, 2, samples)."""
        while True:
            yield np.stack([self._example() for _ in range(size)])

    def _example(self) -> Batch:
        """One example; in half of them the stems come from different songs.

        The mixture is not silent. What the model sees is normalised by it, as at inference.
        """
        rng = self._rng
        while True:
            same = self._draw_excerpt() if rng.random() < 0.5 else None
            stems = [self._stem(index, same or self._draw_excerpt()) for index in range(len(STEMS))]
            example = np.stack(stems)
            mixture = example.sum(axis=0).mean(axis=0)
            deviation = float(mixture.std(ddof=1))
            if deviation > 1e-3:
                return (example / np.float32(deviation)).astype(np.float32)

    def _draw_excerpt(self) -> Excerpt:
        """Draw a song, an offset in it and a speed."""
        speed = draw_speed(self._rng)
        song = int(self._rng.integers(len(self._songs)))
        last = self._songs[song].shape[-1] - self._needed(speed)
        return Excerpt(song, int(self._rng.integers(last + 1)), speed)

    def _needed(self, speed: float) -> int:
        """Samples of a song for an excerpt played at a speed."""
        return int(self._samples * speed) + 2

    def _stem(self, index: int, source: Excerpt) -> Batch:
        """An excerpt of a stem: absent, or with other colour, gain, polarity and sides."""
        rng = self._rng
        if rng.random() < 0.15:
            return np.zeros((2, self._samples), dtype=np.float32)
        end = source.start + self._needed(source.speed)
        cut = self._songs[source.song][index, :, source.start : end].astype(np.float32)
        excerpt = resample(cut / np.float32(FULL_SCALE), source.speed, self._samples)
        excerpt = change_colour(excerpt, rng)
        if rng.random() < 0.5:
            excerpt = excerpt[::-1]
        gain = 10.0 ** (rng.uniform(-6.0, 4.0) / 20.0) * rng.choice([-1.0, 1.0])
        return np.ascontiguousarray(excerpt * np.float32(gain))


def hours(songs: int) -> float:
    """Hours of audio, counted once per song."""
    return songs * SONG_SECONDS / 3_600


def audio_samples(seconds: float) -> int:
    """Samples in so many seconds."""
    return int(seconds * SAMPLERATE)
