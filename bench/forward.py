"""`python -m bench.forward MODEL`: single forward passes, ours and Demucs', in one process.

It prints the ratio of their times: what no program around the model can change.
"""

import copy
import statistics
import sys
import time
from collections.abc import Callable

import torch
from demucs.htdemucs import HTDemucs

from bench import material
from splitjob_worker.engine import device as devices
from splitjob_worker.engine.modules import optimised
from splitjob_worker.machine import cpu_count

ROUNDS = 5


def main() -> None:
    """Print the median of the ratios, after one round to warm up."""
    arguments = {"large": material.HTDEMUCS, "small": material.SMALL}[sys.argv[1]]
    original = HTDemucs(material.STEMS, **arguments).eval().requires_grad_(requires_grad=False)
    ours = optimised(copy.deepcopy(original), torch.device("cpu"))
    heard = torch.randn(1, 2, int(material.RATE * arguments["segment"]))
    ratios = []
    for _ in range(ROUNDS + 1):
        torch.backends.mha.set_fastpath_enabled(True)
        theirs = _seconds(lambda: original(heard))
        devices.configure_torch(cpu_count(), "ieee")
        ratios.append(_seconds(lambda: ours(heard)) / theirs)
    print(statistics.median(ratios[1:]))


@torch.inference_mode()
def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
