"""The decoder against the `ffmpeg` program: the same files, the same length, the same sound.

`python -m bench.differential` tries the whole corpus, prints what differs, and a `Summary` as JSON.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import av
import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray

from bench.audio_files import Samples
from bench.corpus_files import CorpusFile, corpus
from splitjob.errors import Failure
from splitjob_worker.source.audio import MAX_MAGNITUDE, AudioLimits, Decoded
from splitjob_worker.source.conversion import mixing_matrix
from splitjob_worker.source.decoder import decode_file
from splitjob_worker.spool import Spool

Times = NDArray[Any]
EQUAL, WRONG = "equal", "wrong"
LAST_FRAME = 4096  # samples; no codec of the corpus has longer frames but flac and tta
SILENT = 64  # samples that are exactly zero, one behind the other, are a hole that was filled
IN_TIME = 0.06  # seconds; encoders have a frame's length before and behind the sound
# Where an encoder's noise is made up by the decoder, two runs of it are alike and not the same.
ALIKE = 0.98


@dataclass
class Summary:
    """What became of the files.

    Attributes:
        files: how many.
        verdicts: `equal`, `wrong` or why a difference is right, to how many.
        wrong: what must not be, one line each.
    """

    files: int = 0
    verdicts: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    @property
    def explained(self) -> int:
        """How many differ for a reason that is documented."""
        return self.files - self.verdicts.get(EQUAL, 0) - len(self.wrong)


def try_all(files: Iterable[CorpusFile], folder: Path) -> Summary:
    """Decode files both ways, and compare."""
    verdicts: Counter[str] = Counter()
    wrong = []
    for file in files:
        verdict, told = _try(file, folder / "spool")
        verdicts[verdict] += 1
        if verdict == WRONG:
            wrong.append(f"{file.story}: {told}")
            print(wrong[-1], file=sys.stderr, flush=True)
    return Summary(sum(verdicts.values()), dict(verdicts), wrong)


def _try(file: CorpusFile, spool: Path) -> tuple[str, str]:
    """Return the verdict on a file, and how the two differ."""
    theirs = np.concatenate([_by_the_program(one, file) for one in file.like or (file.path,)])
    try:
        ours, found = _decoded(file.path, spool, file.kind.rate)
    except Failure as failure:
        if len(theirs) < 0.16 * file.kind.rate:
            return EQUAL, ""
        return WRONG, f"{failure.message}; the program finds {len(theirs)} samples"
    told = f"{len(ours)} samples, the program's {len(theirs)}; {_losses(found)}"
    return _verdict(file, ours, theirs, found), told


def _decoded(path: Path, spool: Path, rate: int) -> tuple[Samples, Decoded]:
    """Decode a file at its own rate, which may not be quite what it was written with."""
    found = decode_file(path, spool, AudioLimits(rate, 60))
    if found.source_rate != rate:
        return _decoded(path, spool, found.source_rate)
    with Spool(spool, found.frames).reader() as reader:
        return reader.read(0, found.frames), found


def _losses(found: Decoded) -> str:
    return f"{found.damaged_seconds:.3f} s damaged, {found.missing_seconds:.3f} s missing"


def _by_the_program(path: Path, file: CorpusFile) -> Samples:
    """Return what `ffmpeg` decodes, mixed to stereo as the worker does, shape (n, 2)."""
    program = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "quiet", "-i", path]
    filled = ["-af", "aresample=async=1:min_hard_comp=0.02:first_pts=0"] if file.sound else []
    command = [*program, "-map", "0:a:0", *filled, "-f", "f32le", "-"]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False).stdout
    names = [one.name for one in av.AudioLayout(file.kind.layout).channels]
    whole = len(done) // (4 * len(names)) * 4 * len(names)
    samples = np.frombuffer(done[:whole], np.float32).reshape(-1, len(names))
    samples = np.where(np.abs(samples) <= MAX_MAGNITUDE, samples, np.float32(0))
    return np.asarray(samples @ mixing_matrix(names), np.float32)


def _verdict(file: CorpusFile, ours: Samples, theirs: Samples, found: Decoded) -> str:
    if len(ours) == len(theirs) and _same(ours, theirs):
        lost = found.damaged_seconds or found.missing_seconds
        return WRONG if lost and not file.damaged else EQUAL
    if file.sound:
        return _verdict_on_video(file, ours, theirs)
    return _reason(file, _without_silence(ours), _without_silence(theirs), found) or WRONG


def _reason(file: CorpusFile, ours: Samples, theirs: Samples, found: Decoded) -> str | None:
    """Return why the sound, but for silence, differs, or that it does not; None: no reason."""
    shorter = min(len(ours), len(theirs))
    begins_alike = _same(ours[:shorter], theirs[:shorter])
    if found.damaged_seconds and len(ours) == len(theirs) and begins_alike:
        return "silence in place of what is damaged"
    if file.damaged and begins_alike and shorter == len(theirs):
        return "read on behind damage at which the program ends"
    if file.kind.codec == "alac" and file.kind.container == "caf" and begins_alike:
        return "with the end of the last frame, which the program cuts twice"
    fills_up = (
        file.path.suffix in (".m4a", ".mp4", ".mov", ".3gp")
        and len(theirs) - len(ours) < LAST_FRAME
    )
    if fills_up and begins_alike and shorter == len(ours):
        return "without what fills up the last frame, as the file says"
    return None


def _verdict_on_video(file: CorpusFile, ours: Samples, theirs: Samples) -> str:
    """Compare where there is sound with where it was written to."""
    written = np.array(file.sound).ravel()
    found, by_the_program = (_edges(one) / file.kind.rate for one in (ours, theirs))
    if not _in_time(found, written):
        return WRONG
    if _in_time(by_the_program, found):
        return EQUAL
    return "sound where the picture has it, which the program does not see"


def _in_time(found: Times, wanted: Times) -> bool:
    return len(found) == len(wanted) and np.abs(found - wanted).max(initial=0) < IN_TIME


def _edges(samples: Samples) -> Times:
    """Return at which samples sound begins and ends, holes of less than 100 ms left out."""
    loud = np.flatnonzero(np.abs(samples).max(axis=1, initial=0) > 0.02)
    jumps = np.flatnonzero(np.diff(loud) > 4800)
    return np.sort(np.concatenate([loud[:1], loud[jumps], loud[jumps + 1], loud[-1:]]))


def _same(one: Samples, other: Samples) -> bool:
    if len(one) == 0 or np.allclose(one, other, atol=1e-4, equal_nan=True):
        return True
    both = float(np.sqrt(np.sum(one**2) * np.sum(other**2)))
    return bool(np.sum(one * other) > ALIKE * both)


def _without_silence(samples: Samples) -> Samples:
    """Leave out runs of exact silence."""
    silent = ~samples.any(axis=1)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], silent, [False]])))
    kept = np.ones(len(samples), bool)
    for begin, end in edges.reshape(-1, 2):
        kept[begin:end] = end - begin < SILENT
    return samples[kept]


def main() -> None:
    """Try every so many files of the corpus."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--every", type=int, default=1)
    every = arguments.parse_args().every
    with tempfile.TemporaryDirectory() as folder:
        files = islice(corpus(Path(folder)), 0, None, every)
        print(json.dumps(asdict(try_all(files, Path(folder)))))


if __name__ == "__main__":
    main()
