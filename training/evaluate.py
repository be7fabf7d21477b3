"""Measure a model on held-out songs: `python -m training.evaluate`.

The songs have keys, tempi, timbres and effects that were never trained on. It prints
the median per stem over the songs, beside the scores of silence and of the best-scaled mixture,
which a useful model must exceed.
"""

import argparse
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, median

import numpy as np
import torch
from demucs.apply import Model, apply_model

from splitjob_synth import STEMS, render_song
from training.checkpoint import cache_folder, load_checkpoint
from training.export import WEIGHTS, load_exported
from training.metrics import Audio, scaled_to_fit, sdr, si_sdr
from training.model import build_model

FIRST_HELD_OUT_SEED = 1_000_000
SILENT_PEAK = 1e-3

Separate = Callable[[Audio], dict[str, Audio]]
"""Takes a mixture (2, n), gives the stems by name."""


@dataclass(frozen=True)
class Score:
    """One stem of one song, in dB.

    Attributes:
        seed: of the song.
        stem: its name.
        sdr: of the separated stem.
        si_sdr: the same, scale-invariant.
        silence: SDR of silence in the stem's place.
        mixture: SDR of the mixture, scaled to fit the stem.
    """

    seed: int
    stem: str
    sdr: float
    si_sdr: float
    silence: float
    mixture: float


@dataclass(frozen=True)
class Summary:
    """Medians over the songs for one stem, in dB; `songs` in which it is not silent."""

    stem: str
    songs: int
    sdr: float
    si_sdr: float
    silence: float
    mixture: float

    @property
    def above_baseline(self) -> float:
        """SDR above the better of silence and the best-scaled mixture."""
        return self.sdr - max(self.silence, self.mixture)


def separate_with(model: Model) -> Separate:
    """Separate with a Demucs model, normalised as `demucs.api.Separator` does."""

    def separate(mixture: Audio) -> dict[str, Audio]:
        wave = torch.from_numpy(mixture)
        centre = wave.mean(dim=0)
        mean, deviation = centre.mean(), centre.std() + 1e-8
        normal = (wave - mean) / deviation
        stems = apply_model(model, normal[None], shifts=0, overlap=0.25)[0] * deviation + mean
        return dict(zip(model.sources, stems.numpy(), strict=True))

    return separate


def measure_song(separate: Separate, seed: int, seconds: float) -> list[Score]:
    """Score every stem of a held-out song that is not silent."""
    references = render_song(seed, seconds, "heldout")
    mixture: Audio = np.stack(list(references.values())).sum(axis=0)
    estimates = separate(mixture)
    return [
        Score(
            seed=seed,
            stem=stem,
            sdr=sdr(reference, estimates[stem]),
            si_sdr=si_sdr(reference, estimates[stem]),
            silence=sdr(reference, np.zeros_like(reference)),
            mixture=sdr(reference, scaled_to_fit(reference, mixture)),
        )
        for stem, reference in references.items()
        if np.abs(reference).max() > SILENT_PEAK
    ]


def measure(separate: Separate, songs: int = 24, seconds: float = 30.0) -> list[Score]:
    """Score a separator on the first `songs` held-out songs."""
    seeds = range(FIRST_HELD_OUT_SEED, FIRST_HELD_OUT_SEED + songs)
    return [score for seed in seeds for score in measure_song(separate, seed, seconds)]


def summarise(scores: Iterable[Score]) -> list[Summary]:
    """Medians per stem, in the order of the model's stems."""
    scores = list(scores)
    return [
        Summary(
            stem=stem,
            songs=len(of_stem),
            sdr=median(score.sdr for score in of_stem),
            si_sdr=median(score.si_sdr for score in of_stem),
            silence=median(score.silence for score in of_stem),
            mixture=median(score.mixture for score in of_stem),
        )
        for stem in STEMS
        if (of_stem := [score for score in scores if score.stem == stem])
    ]


def mean_sdr(scores: Sequence[Score]) -> float:
    """Mean SDR over all stems of all songs."""
    return fmean(score.sdr for score in scores)


def table(scores: Sequence[Score]) -> str:
    """The summary as text."""
    lines = [f"{'stem':<8} {'songs':>5} {'SDR':>7} {'SI-SDR':>7} {'silence':>8} {'mixture':>8}"]
    lines += [
        f"{s.stem:<8} {s.songs:>5} {s.sdr:>7.2f} {s.si_sdr:>7.2f} {s.silence:>8.2f} "
        f"{s.mixture:>8.2f}"
        for s in summarise(scores)
    ]
    return "\n".join([*lines, f"mean SDR {mean_sdr(scores):.2f} dB"])


def measure_shipped(songs: int = 24, seconds: float = 30.0) -> list[Score]:
    """Score the weights in the worker's package."""
    return measure(separate_with(load_exported(WEIGHTS)), songs, seconds)


def _from_checkpoint(folder: Path) -> Model:
    state = load_checkpoint(folder)
    if state is None:
        raise SystemExit(f"no checkpoint in {folder}: train first")
    model = build_model()
    model.load_state_dict(state["average"])
    return model.eval()


def main() -> None:
    """Read the command line, measure, print a table, write JSON if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--songs", type=int, default=24)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--json", type=Path, help="write every score there")
    parser.add_argument("--checkpoint", action="store_true", help="what training has reached")
    parser.add_argument("--folder", type=Path, default=cache_folder())
    arguments = parser.parse_args()
    model = _from_checkpoint(arguments.folder) if arguments.checkpoint else load_exported(WEIGHTS)
    scores = measure(separate_with(model), arguments.songs, arguments.seconds)
    print(table(scores))
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(score) for score in scores], indent=1))


if __name__ == "__main__":
    main()
