"""Stems of random lengths and rates, in every format, read by the programs of others.

Right is: as long as the stem to the sample, not late by one, and without a complaint.
"""

import random
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench import readers
from bench.audio_files import noise
from bench.figures import Figure, at_most, note
from splitjob import formats
from splitjob.resource import Format
from splitjob_worker.stems.encode import StemFile
from splitjob_worker.stems.encoding import OPUS_RATE, BitDepth, Encoding

COMMAND = "make bench ONLY=replay"
KINDS: tuple[tuple[Format, BitDepth], ...] = (
    ("wav", 16), ("wav", 24), ("wav", 32), ("flac", 16), ("flac", 24), ("mp3", 16), ("m4a", 16),
    ("opus", 16),
)  # fmt: skip
RATES = (8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000, 88200, 96000)
LENGTHS = (1, 576, 1024, 1151, 1152, 1153, 2048)  # samples: where frames of codecs end
ROUNDS = 25
LONGEST_SECONDS = 4
TAGS = {"title": "Song", "artist": "Somebody", "album_artist": "All of them", "track": "3/12"}
M4A_PRIMING = 1024  # samples that mutagen counts, since it reads no edit list


@dataclass(frozen=True)
class Case:
    """One stem.

    Attributes:
        encoding: of the file.
        rate: Hz, of stem and file.
        frames: samples per channel.
        seed: of the noise in it.
    """

    encoding: Encoding
    rate: int
    frames: int
    seed: int

    def __str__(self) -> str:
        depth = self.encoding.bit_depth
        return f"{self.encoding.format} {depth} at {self.rate} Hz, {self.frames} samples"


def measure() -> list[Figure]:
    """Return the figures; takes half a minute."""
    wrong: list[str] = []
    tried = list(cases(random.Random(2026)))
    with tempfile.TemporaryDirectory(prefix="bench-replay-") as folder:
        for case in tried:
            wrong += [f"{case}: {one}" for one in problems(case, Path(folder))]
    for line in wrong:
        print(f"    {line}")
    return [
        note("replay: files", len(tried), "files", COMMAND),
        note("replay: readers", len(readers.READERS) + 1, "", COMMAND),
        at_most("replay: wrong", len(wrong), "", 0, COMMAND),
    ]


def cases(chance: random.Random) -> Iterator[Case]:
    """Yield stems of every format at random rates; every other one is of seconds."""
    for seed in range(ROUNDS):
        for form, depth in KINDS:
            rate = chance.choice([rate for rate in RATES if _has(form, rate)])
            frames = (
                chance.choice(LENGTHS) if seed % 2 else chance.randint(1, LONGEST_SECONDS * rate)
            )
            yield Case(Encoding(form, depth, tags=TAGS), rate, frames, seed)


def problems(case: Case, folder: Path) -> list[str]:
    """Write a stem; return what its readers find wrong with it."""
    sound = noise(case.rate, case.frames, case.seed)
    file = StemFile("x", case.frames, case.rate, case.encoding, folder)
    file.write(sound)
    path = file.close(1.0).path
    form = case.encoding.format
    found = []
    for name, read in readers.of_format(form).items():
        samples = read(path)
        if len(samples) != case.frames:
            found.append(f"{name} finds {len(samples)} samples")
        elif late := readers.delay(samples, sound):
            found.append(f"{name} finds it late by {late} samples")
    told = readers.told_by_mutagen(path, case.rate) - (M4A_PRIMING if form == "m4a" else 0)
    return found + ([f"mutagen tells {told} samples"] if told != case.frames else [])


def _has(form: Format, rate: int) -> bool:
    """Whether files of a format have a rate, without resampling."""
    if form == "opus":
        return rate == OPUS_RATE
    return formats.sample_rate_problem(form, rate) is None
