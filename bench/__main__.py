"""`python -m bench [NAME]`: run the benchmarks; each figure is printed and kept as it is measured.

They are kept in bench/out/results.json.
"""

import importlib
import sys
from collections.abc import Iterable
from pathlib import Path

from bench.figures import Figure, line, save

BENCHMARKS = {
    "api": "the API: jobs a second against raw writes; reads, memory, streams at 10,000 jobs",
    "operator": "the operator: Jobs a second against raw writes; what 10,000 SplitJobs cost",
    "path": "the way around the worker: POST to webhook, cluster start, the whole demo",
    "engine": "`track-tree-audio separate` against the demucs command: time and memory",
    "outputs": "what waveforms and exact sums cost beside a separation: processor time",
    "gpu": "the engine on an NVIDIA GPU against the demucs command on the same, where there is one",
    "checkpoints": "a worker that is preempted at 90 %: forward passes in all, cost of checkpoints",
    "equality": "the engine's numbers against Demucs', for long songs and many short ones",
    "memory": "the memory of every model in the registry, against what its record says",
    "replay": "stems of every format, read by the programs of others: their length and delay",
    "fuzz": "the decoder on several hundred broken files: what comes out, what is left behind",
    "corpus": "the decoder against the ffmpeg program: hundreds of files, their length and sound",
    "demo_model": "how well the demo model separates songs it never heard",
}
RESULTS = Path(__file__).parent / "out" / "results.json"


def main() -> int:
    """Run the benchmarks named on the command line, all by default.

    Returns:
        0 when every goal was met, 1 when one was missed, 2 for an unknown name.
    """
    wanted = sys.argv[1:] or list(BENCHMARKS)
    unknown = [name for name in wanted if name not in BENCHMARKS]
    if unknown:
        print(f"no benchmark {unknown[0]!r}; there are: {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    missed = False
    for name in wanted:
        print(f"==> {name}: {BENCHMARKS[name]}", flush=True)
        measured: Iterable[Figure] = importlib.import_module(f"bench.{name}").measure()
        for figure in measured:
            save(figure, RESULTS)
            print(line(figure), flush=True)
            missed = missed or figure.met is False
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
