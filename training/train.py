"""Train the demo model: `python -m training.train --hours 6`.

Training goes on from the last checkpoint in the cache; without one, from the shipped weights,
which know their steps and hours. The learning rate stays high for most of the time budget and
falls to zero over the last part of it. The budget counts earlier runs too: asking for more hours
than before raises the rate again, and lets it fall at the new end. Hours are those of a processor,
not of the clock: other work on the machine, or a pause, costs no training.

Every process trains on one thread, and they meet every few steps to average their weights (local
SGD: Stich, "Local SGD converges fast and communicates little", ICLR 2019). Threads that meet
inside every operation are several times slower as soon as something else runs on the cores.
"""

import argparse
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.multiprocessing.spawn import spawn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from splitjob_local.processes.prctl import die_with_parent
from training.checkpoint import cache_folder, load_checkpoint, save_checkpoint
from training.dataset import Mixer, audio_samples, hours, render_all
from training.export import NAME, WEIGHTS, load_cost, load_exported
from training.model import SEGMENT, build_model

CHECKPOINT_SECONDS = 180.0
REPORT_STEPS = 40
GRADIENT_NORM = 5.0
SYNC_STEPS = 8
EMA_DECAY = 0.992
WARM_UP_STEPS = 100
FALL = 0.3

_ALLOCATOR = {
    "OMP_NUM_THREADS": "1",
    "THP_MEM_ALLOC_ENABLE": "1",
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "100000000000",
}
"""glibc gives large tensors back to the system at once; keeping them saves 15 % of a step."""


@dataclass(frozen=True)
class Settings:
    """The settings of a training run.

    Attributes:
        folder: for songs and checkpoint.
        hours: processor time of each process, over all runs.
        songs: training songs to use.
        batch: examples per step in each process.
        processes: processes, one thread each.
        rate: highest learning rate.
        bf16: whether to multiply in bfloat16; faster where the processor has instructions for it.
        fresh: whether to begin with random weights rather than the shipped ones.
        seed: of the weights and of the examples.
    """

    folder: Path
    hours: float
    songs: int
    batch: int
    processes: int
    rate: float
    bf16: bool
    fresh: bool
    seed: int


@dataclass
class Progress:
    """The progress of training."""

    step: int = 0
    seconds: float = 0.0  # of processor time, in each process
    losses: list[float] = field(default_factory=list)


def learning_rate(highest: float, step: int, share: float) -> float:
    """A short linear warm-up, the highest rate, then a straight fall to zero.

    Args:
        highest: the rate at the top.
        step: steps done in this run, for the warm-up.
        share: how much of the time budget is used, 0 to 1; the last 0.3 of it is the fall.
    """
    warm_up = min(1.0, (step + 1) / WARM_UP_STEPS)
    return highest * warm_up * min(1.0, max(1.0 - share, 0.0) / FALL)


def update_average(average: dict[str, Tensor], model: nn.Module, updates: int) -> None:
    """Move the average of the weights towards the weights, faster in the beginning."""
    decay = min(EMA_DECAY, (1 + updates) / (10 + updates))
    for name, value in model.state_dict().items():
        average[name].lerp_(value, 1.0 - decay)


class Trainer:
    """One process of a training run."""

    def __init__(self, settings: Settings, rank: int) -> None:
        torch.manual_seed(settings.seed)
        self.settings = settings
        self.rank = rank
        self.model = build_model()
        self.average = {k: v.clone() for k, v in self.model.state_dict().items()}
        self.optimizer = torch.optim.AdamW(self.model.parameters(), settings.rate, fused=True)
        self.progress = Progress()
        self._resume()
        self.first_step = self.progress.step

    def run(self) -> None:
        """Train until the time budget is used up."""
        budget = self.settings.hours * 3_600
        examples = self._examples()
        saved = time.monotonic()
        before = self.progress.seconds - time.process_time()
        while self.progress.seconds < budget:
            for _ in range(SYNC_STEPS):
                self._step(next(examples), self.progress.seconds / budget)
            self._average_weights(before + time.process_time())
            now = time.monotonic()
            if self.rank == 0 and now - saved > CHECKPOINT_SECONDS:
                self._save()
                saved = now
            if self.rank == 0 and len(self.progress.losses) >= REPORT_STEPS:
                self._report(budget)
        if self.rank == 0:
            self._save()

    def _step(self, stems: Tensor, share: float) -> None:
        step = self.progress.step - self.first_step
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.settings.rate, step, share)
        self.optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=self.settings.bf16):
            separated = self.model(stems.sum(dim=1))
        loss = (separated.float() - stems).abs().mean()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), GRADIENT_NORM)
        self.optimizer.step()
        self.progress.step += 1
        self.progress.losses.append(loss.item())

    @torch.no_grad()
    def _average_weights(self, seconds: float) -> None:
        """Average the weights over the processes, and agree on the first one's clock."""
        weights = parameters_to_vector(self.model.parameters())
        dist.all_reduce(weights)
        vector_to_parameters(weights / self.settings.processes, self.model.parameters())
        update_average(self.average, self.model, self.progress.step // SYNC_STEPS)
        clock = torch.tensor([seconds], dtype=torch.float64)
        dist.broadcast(clock, src=0)
        self.progress.seconds = float(clock)

    def _examples(self) -> Iterator[Tensor]:
        settings = self.settings
        seed = settings.seed + 1_000 * self.progress.step + self.rank
        samples = audio_samples(float(SEGMENT))
        mixer = Mixer(settings.folder / "songs", settings.songs, samples, seed)
        return (torch.from_numpy(batch) for batch in mixer.batches(settings.batch))

    def _report(self, budget: float) -> None:
        progress = self.progress
        loss = sum(progress.losses) / len(progress.losses)
        left = max(budget - progress.seconds, 0.0) / 60
        rate = self.optimizer.param_groups[0]["lr"]
        print(
            f"step {progress.step}  loss {loss:.4f}  rate {rate:.2e}  "
            f"{progress.seconds / 60:.1f} min done, {left:.0f} min to go",
            flush=True,
        )
        progress.losses.clear()

    def _resume(self) -> None:
        state = load_checkpoint(self.settings.folder)
        if state is None:
            self._start()
            return
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.average = state["average"]
        self.progress = Progress(state["step"], state["seconds"])
        if self.rank == 0:
            print(f"going on at step {self.progress.step}", flush=True)

    def _start(self) -> None:
        """Begin without a checkpoint: with the shipped weights, or with random ones."""
        if self.settings.fresh or not (WEIGHTS / f"{NAME}.safetensors").exists():
            return
        self.model.load_state_dict(load_exported(WEIGHTS).state_dict())
        self.average = {k: v.clone() for k, v in self.model.state_dict().items()}
        cost = load_cost(WEIGHTS)
        self.progress = Progress(cost.steps, cost.seconds)
        if self.rank == 0:
            print(f"no checkpoint: going on from {WEIGHTS}, step {cost.steps}", flush=True)

    def _save(self) -> None:
        state: dict[str, Any] = {
            "model": self.model.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
            "step": self.progress.step,
            "seconds": self.progress.seconds,
        }
        save_checkpoint(self.settings.folder, state)


def _process(rank: int, settings: Settings, rendezvous: str) -> None:
    die_with_parent()
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=settings.processes
    )
    try:
        Trainer(settings, rank).run()
    finally:
        dist.destroy_process_group()


def train(settings: Settings) -> None:
    """Render missing songs, then train until the time budget is used up."""
    render_all(settings.folder / "songs", settings.songs, settings.processes)
    print(
        f"training for {settings.hours:g} h in all on {hours(settings.songs):.1f} h of audio, "
        f"{settings.processes} processes; checkpoint every {CHECKPOINT_SECONDS / 60:g} min",
        flush=True,
    )
    os.environ.update(_ALLOCATOR)
    rendezvous = settings.folder / f"rendezvous-{os.getpid()}"
    rendezvous.unlink(missing_ok=True)
    try:
        spawn(  # type: ignore[no-untyped-call]
            _process, (settings, str(rendezvous)), nprocs=settings.processes
        )
    finally:
        rendezvous.unlink(missing_ok=True)


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=6.0, help="processor time, over all runs")
    parser.add_argument("--songs", type=int, default=1_500, help="training songs of 20 s")
    parser.add_argument("--batch", type=int, default=1, help="examples per step and process")
    parser.add_argument("--processes", type=int, default=min(os.cpu_count() or 1, 4))
    parser.add_argument("--rate", type=float, default=8e-4, help="highest learning rate")
    parser.add_argument("--bf16", action="store_true", help="multiply in bfloat16")
    parser.add_argument("--fresh", action="store_true", help="begin with random weights")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=cache_folder())
    train(Settings(**vars(parser.parse_args())))


if __name__ == "__main__":
    main()
