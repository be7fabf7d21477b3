"""What a song at hand is normalised by; the decoder finds it while samples pass."""

from collections.abc import Iterable

from splitjob_worker.normalisation import Normalisation, Statistics
from splitjob_worker.spool import Samples


def normalisation(blocks: Iterable[Samples]) -> Normalisation:
    statistics = Statistics()
    for block in blocks:
        statistics.add(block)
    return statistics.result()
