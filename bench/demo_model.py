"""How well the demo model separates songs it never heard."""

from collections.abc import Iterator

from bench.figures import Figure, at_least, note
from training.evaluate import Summary, mean_sdr, measure_shipped, summarise, table

MEAN_GOAL = 6.0
MEDIAN_GOAL = 4.0
BASELINE_GOAL = 3.0
_COMMAND = "make bench ONLY=demo_model"


def measure() -> list[Figure]:
    """Measure the shipped weights on 24 held-out songs of 30 s; about 3 minutes on two cores."""
    scores = measure_shipped(songs=24, seconds=30.0)
    print(table(scores))
    mean = at_least("demo model, mean SDR", mean_sdr(scores), "dB", MEAN_GOAL, _COMMAND)
    return [mean, *(figure for summary in summarise(scores) for figure in _of_stem(summary))]


def _of_stem(summary: Summary) -> Iterator[Figure]:
    name = f"demo model, {summary.stem}"
    yield at_least(f"{name}, median SDR", summary.sdr, "dB", MEDIAN_GOAL, _COMMAND)
    yield at_least(
        f"{name}, above the better of silence and scaled mixture",
        summary.above_baseline,
        "dB",
        BASELINE_GOAL,
        _COMMAND,
    )
    yield note(f"{name}, median SI-SDR", summary.si_sdr, "dB", _COMMAND)
