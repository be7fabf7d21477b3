"""`track-tree-audio separate` against the `demucs` command: the same weights, song and options.

Both run from a cold process to its end, when the last file is written, on the CPU, without shifts,
in turns; a ratio is one of medians. `QUICK=1 make bench ONLY=engine` goes the same way in minutes,
with songs too short and a model too small for its figures to mean anything.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from bench import material, probe
from bench.commands import Run, run
from bench.figures import Figure, at_least, at_most, note
from bench.material import Model, Songs, demo_model, random_model
from bench.rows import wanted_rows
from splitjob_worker.machine import cpu_count
from splitjob_worker.stems.encode import StemFile
from splitjob_worker.stems.encoding import Encoding

COMMAND = "make bench ONLY=engine"


@dataclass(frozen=True)
class Scale:
    """How much is measured.

    Attributes:
        rounds: of each comparison.
        starts: how often the start alone is measured, which is short.
        piece: seconds of music in the songs, which repeat it.
        song, bag, demo: seconds of the songs for the comparisons of time.
        short, long, longest: seconds of the songs for the comparisons of memory.
        large: the model of the first comparison: its name in `bench.forward`, and its arguments.
    """

    rounds: int
    starts: int
    piece: float
    song: float
    bag: float
    demo: float
    short: float
    long: float
    longest: float
    large: tuple[str, dict[str, Any]]


FULL = Scale(3, 9, 30, 180, 40, 600, 180, 1800, 3600, ("large", material.HTDEMUCS))
QUICK = Scale(1, 2, 4, 6, 6, 8, 6, 12, 15, ("small", material.SMALL))


@dataclass(frozen=True)
class Ours:
    """A run of our command.

    Attributes:
        run: what it took.
        forwards: seconds that forward passes took.
    """

    run: Run
    forwards: float


@dataclass(frozen=True)
class Duel:
    """Runs of both commands, in turns.

    Attributes:
        ours, theirs: the runs.
        besides: what our runs are held against (`Arena.duel`), one number for each.
    """

    ours: list[Ours]
    theirs: list[Run]
    besides: list[float]

    @property
    def ratio(self) -> float:
        """Our time as a share of theirs."""
        return self.wall / statistics.median(one.wall for one in self.theirs)

    @property
    def wall(self) -> float:
        """Our time in seconds."""
        return statistics.median(one.run.wall for one in self.ours)


class Arena:
    """Runs both commands.

    Args:
        folder: for songs, weights and stems.
        scale: how much is measured.
        device: that both run on.
    """

    def __init__(self, folder: Path, scale: Scale, device: str = "cpu") -> None:
        self.folder, self.scale, self.device = folder, scale, device
        self.songs = Songs(folder, scale.piece)

    @cached_property
    def large(self) -> Model:
        """The model of the first comparison, with random weights."""
        return random_model(self.folder, "large", self.scale.large[1])

    def duel(
        self,
        model: Model,
        seconds: float,
        *options: str,
        besides: Callable[[], float] = lambda: 0.0,
    ) -> Duel:
        """Run both in turns; the stems of the last round stay in the folders `ours`, `theirs`.

        Args:
            model: that both run.
            seconds: of the song.
            options: for both.
            besides: measures what our run is held against, right before and right after it, since
                the machine is not equally fast all the time; their mean counts.
        """
        duel = Duel([], [], [])
        for _ in range(self.scale.rounds):
            before = besides()
            duel.ours.append(self.ours(model, seconds, *options))
            duel.besides.append((before + besides()) / 2)
            duel.theirs.append(self.theirs(model, seconds, *options))
        return duel

    def ours(self, model: Model, seconds: float, *options: str, memory: bool = False) -> Ours:
        """Run our command once."""
        words = self._words(model, model.ours, "ours", seconds, options)
        took, found = self._probe(words, memory=memory)
        _say("ours", model, seconds, options, took)
        return Ours(took, found["forwards"])

    def start(self, model: Model, seconds: float) -> float:
        """Return the seconds from our command's start to when the first segment enters the model.

        It is interrupted there.
        """
        words = self._words(model, model.ours, "ours", seconds, ())
        started = time.time()
        _, found = self._probe(words, probe.FIRST)
        return found["first"] - started

    def theirs(self, model: Model, seconds: float, *options: str, memory: bool = False) -> Run:
        """Run the `demucs` command once."""
        words = self._words(model, model.theirs, "theirs", seconds, options)
        took = run([sys.executable, "-m", "demucs", *words], watch_memory=memory)
        _say("demucs", model, seconds, options, took)
        return took

    def _probe(
        self, words: Sequence[str | Path], *how: str, memory: bool = False
    ) -> tuple[Run, dict[str, float]]:
        """Run our command with a stopwatch in it; return what it took and what that shows."""
        result = self.folder / "probe.json"
        command = [sys.executable, "-m", "bench.probe", *how, result, "separate", *words]
        took = run(command, watch_memory=memory)
        return took, json.loads(result.read_text(encoding="utf-8"))

    def stems(self, who: str) -> dict[str, Path]:
        """Return the stems that a side's last run wrote, by name."""
        return {path.stem: path for path in sorted((self.folder / who).rglob("*.*"))}

    def _words(
        self, model: Model, repo: Path, who: str, seconds: float, options: Sequence[str]
    ) -> list[str | Path]:
        """Return a command line that both understand."""
        out = self.folder / who
        shutil.rmtree(out, ignore_errors=True)
        way = ["-n", model.name, "-d", self.device, "--shifts", "0", *options]
        return [*way, "--repo", repo, "-o", out, self.songs.song(seconds)]


def measure() -> Iterator[Figure]:
    """Yield the figures, each as it is measured; takes about an hour on two cores.

    `ROWS=time,start` measures these alone.
    """
    wanted = wanted_rows(ROWS)
    quick = bool(os.environ.get("QUICK"))
    with tempfile.TemporaryDirectory(prefix="bench-engine-") as name:
        arena = Arena(Path(name), QUICK if quick else FULL)
        for row in wanted:
            for one in ROWS[row](arena):
                yield one if not quick else _quick(one)


def _quick(one: Figure) -> Figure:
    return note(f"quick, {one.name}", one.value, one.unit, f"QUICK=1 {COMMAND}")


def _time(arena: Arena) -> Iterator[Figure]:
    """Compare all four stems, with htdemucs' architecture."""
    duel = arena.duel(arena.large, arena.scale.song)
    ours, theirs = arena.stems("ours"), arena.stems("theirs")
    apart = max(material.steps_apart(ours[stem], theirs[stem]) for stem in material.STEMS)
    share = statistics.median(one.forwards / one.run.wall for one in duel.ours)
    yield at_most("engine: wall, htdemucs, 3 min", duel.ratio, "ratio", 0.92, COMMAND)
    yield at_least("engine: forward passes in our wall time", share, "ratio", 0.95, COMMAND)
    yield note("engine: stems differ at most, 16 bits", apart, "steps", COMMAND)
    forward = float(_output([sys.executable, "-m", "bench.forward", arena.scale.large[0]]))
    yield note("engine: one forward pass, htdemucs", forward, "ratio", COMMAND)


def _start(arena: Arena) -> Iterator[Figure]:
    """Compare the time until the first segment enters the model with `import torch` alone.

    The same model and song as for the time; a difference of short times, so that it takes more
    rounds than those.
    """
    large, imports = arena.large, [_import_seconds()]
    less: list[float] = []
    for _ in range(arena.scale.starts):
        first = arena.start(large, arena.scale.song)
        imports.append(_import_seconds())
        less.append(first - (imports[-2] + imports[-1]) / 2)
        print(f"    start, less import torch: {less[-1]:.2f} s", flush=True)
    start = statistics.median(less)
    yield at_most("engine: start to first segment, less torch", start, "s", 0.5, COMMAND)
    yield note("engine: import torch", statistics.median(imports), "s", COMMAND)


def _bag(arena: Arena) -> Iterator[Figure]:
    """Compare one stem of four models, of which each gives one."""
    bag = random_model(arena.folder, "bag", arena.scale.large[1], count=4)
    options = ("--two-stems", "vocals", "--other-method", "minus")
    duel = arena.duel(bag, arena.scale.bag, *options)
    yield at_most("engine: wall, one stem of a bag, 40 s", duel.ratio, "ratio", 0.3, COMMAND)


def _memory(arena: Arena) -> Iterator[Figure]:
    """Compare memory, with a model so small that the song counts."""
    small, scale = random_model(arena.folder, "small", material.SMALL), arena.scale
    short, long, longest = (
        arena.ours(small, seconds, memory=True).run.peak_bytes
        for seconds in (scale.short, scale.long, scale.longest)
    )
    theirs = arena.theirs(small, scale.long, memory=True).peak_bytes
    yield at_most("engine: memory, 30 min", long / theirs, "ratio", 0.15, COMMAND)
    yield note("engine: memory, 30 min, ours", long / 1e6, "MB", COMMAND)
    yield note("engine: memory, 30 min, demucs", theirs / 1e6, "MB", COMMAND)
    yield at_most("engine: memory, 60 min / 3 min", longest / short, "ratio", 1.1, COMMAND)


def _mp3(arena: Arena) -> Iterator[Figure]:
    """Compare mp3 files, with the demo model; and with what the same takes at least."""
    model, seconds = demo_model(arena.folder), arena.scale.demo
    forwards: list[float] = []
    encodings: list[float] = []

    def least() -> float:
        kept = arena.ours(model, seconds)
        forwards.append(kept.forwards)
        encodings.append(_encoding_seconds(arena.stems("ours"), arena.folder))
        spent = forwards[-1] + encodings[-1] / cpu_count()
        print(f"    forward passes and encoding alone: {spent:.2f} s", flush=True)
        return spent

    duel = arena.duel(model, seconds, "--mp3", besides=least)
    over = statistics.median(
        one.run.wall / spent for one, spent in zip(duel.ours, duel.besides, strict=True)
    )
    yield at_most("engine: wall to mp3, demo, 10 min", duel.ratio, "ratio", 0.8, COMMAND)
    yield at_most("engine: the same / its least", over, "ratio", 1.1, COMMAND)
    yield note("engine: forward passes of that", statistics.median(forwards), "s", COMMAND)
    yield note("engine: encoding of that, CPU", statistics.median(encodings), "s", COMMAND)


ROWS: Mapping[str, Callable[[Arena], Iterator[Figure]]] = {
    "time": _time,
    "start": _start,
    "bag": _bag,
    "memory": _memory,
    "mp3": _mp3,
}


def _encoding_seconds(stems: Mapping[str, Path], folder: Path) -> float:
    """Return the CPU time of encoding stems as the command does.

    All cores are busy with it, as they are in the command: one alone is faster.
    """
    with ThreadPoolExecutor(cpu_count()) as pool:
        return sum(pool.map(lambda stem: _encoding_of_one(stem, folder), stems.values()))


def _encoding_of_one(stem: Path, folder: Path) -> float:
    with wave.open(str(stem)) as file:
        encoded = StemFile(stem.stem, file.getnframes(), material.RATE, Encoding("mp3"), folder)
        spent = 0.0
        while data := file.readframes(3 * material.RATE):
            block = np.frombuffer(data, "<i2").reshape(-1, 2).astype(np.float32) / np.float32(32767)
            began = time.thread_time()
            encoded.write(block)
            spent += time.thread_time() - began
        began = time.thread_time()
        encoded.close(peak=1.0)
        return spent + time.thread_time() - began


def _import_seconds() -> float:
    """Return the seconds from a process's start until torch is imported."""
    started = time.time()
    done = _output([sys.executable, "-c", "import time, torch; print(time.time())"])
    return float(done) - started


def _output(command: list[str]) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def _say(who: str, model: Model, seconds: float, options: Sequence[str], took: Run) -> None:
    memory = f", {took.peak_bytes / 1e6:.0f} MB" if took.peak_bytes else ""
    what = " ".join([who, model.name, f"{seconds:g} s", *options])
    print(f"    {what}: {took.wall:.2f} s{memory}", flush=True)
