"""Separation with Demucs: the one file that knows torch.

Normalises over the whole track as `demucs.api.Separator.separate_tensor` does (Demucs 4.1.0), runs
`demucs.apply.apply_model`, and spools each stem that was asked for.
"""

import importlib
import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from demucs.apply import BagOfModels, apply_model
from safetensors.torch import load_file

from splitjob.errors import ErrorCode, Failure
from splitjob.result import remainder_name
from splitjob_worker.machine import cpus
from splitjob_worker.spool import BLOCK_FRAMES, Samples, SeparatedStem, Spool, SpoolWriter
from splitjob_worker.weights import Weights, read_header

CLASSES = {
    "demucs.htdemucs.HTDemucs": "HTDemucs",
    "demucs.hdemucs.HDemucs": "HDemucs",
    "demucs.demucs.Demucs": "Demucs",
}
SILENCE_DBFS = -200.0  # said where mixture and stems agree to the last bit


@dataclass(frozen=True)
class Options:
    """What the caller chose.

    Attributes:
        stems: those wanted, in this order; None: all of the model.
        remainder: also the mixture minus the stems asked for.
        shifts: random shifts averaged.
        overlap: of the model's segments, 0 to 0.9.
        seed: of the shifts.
    """

    stems: list[str] | None = None
    remainder: bool = False
    shifts: int = 0
    overlap: float = 0.25
    seed: int = 0


@dataclass(frozen=True)
class Separation:
    """What separating gave.

    Attributes:
        stems: those asked for, the remainder last.
        residual_dbfs: RMS of the mixture minus the sum of all stems; None for a subset.
    """

    stems: list[SeparatedStem]
    residual_dbfs: float | None


class Separator:
    """A model in memory, ready on its device.

    Args:
        weights: found and checked.
        device: `cpu`, `cuda` or `mps`; one that is not there is an error, never another device.

    Raises:
        Failure: `gpu_error`, `model_unavailable`.
    """

    def __init__(self, weights: Weights, device: str) -> None:
        self.device = _device(device)
        self.weights = weights
        torch.set_num_threads(cpus())
        _full_precision()
        self._bag = load_bag(weights)
        self.sample_rate = int(self._bag.samplerate)

    def separate(
        self,
        mixture: Spool,
        options: Options,
        scratch: Path,
        *,
        on_progress: Callable[[float], None] = lambda _share: None,
        check_stop: Callable[[], None] = lambda: None,
    ) -> Separation:
        """Separate one song.

        Args:
            mixture: at the model's rate.
            options: what the caller chose.
            scratch: the folder for the stems.
            on_progress: hears the share that is done, 0 to 1, after each segment.
            check_stop: called before and after each segment; raises to stop.

        Raises:
            Failure: `gpu_oom`, `gpu_error`, `worker_oom`, `worker_storage`.
        """
        progress = _Progress(self._segments(mixture.frames, options), on_progress, check_stop)
        random.seed(options.seed)  # apply_model draws its shifts from here
        try:
            output = self._apply(mixture, options, progress)
        except (RuntimeError, MemoryError) as error:
            raise _runtime_failure(error, self.device) from error
        return _spool_stems(
            mixture, output, [str(one) for one in self._bag.sources], options, scratch
        )

    def _apply(self, mixture: Spool, options: Options, progress: "_Progress") -> Samples:
        """Return the model's stems, shape (stems, 2, frames)."""
        mix = torch.from_numpy(np.ascontiguousarray(mixture.samples().T))
        reference = mix.mean(0)
        mean, deviation = reference.mean(), reference.std() + 1e-8
        mix.sub_(mean).div_(deviation)
        with torch.inference_mode():
            output = apply_model(
                self._bag,
                mix[None],
                shifts=options.shifts,
                overlap=options.overlap,
                device=self.device,
                callback=progress,
            )[0]
            output.mul_(deviation).add_(mean)
        result: Samples = output.numpy()
        return result

    def _segments(self, frames: int, options: Options) -> int:
        """Return how many forward passes separating will take."""
        total = 0
        models: Any = self._bag.models
        for model in models:
            stride = int((1 - options.overlap) * int(model.samplerate * model.segment))
            if options.shifts:
                longest = frames + model.samplerate // 2
                total += options.shifts * math.ceil(longest / stride)
            else:
                total += math.ceil(frames / stride)
        return total


class _Progress:
    """The callback of apply_model: counts finished segments, and stops when told to."""

    def __init__(
        self, segments: int, report: Callable[[float], None], check_stop: Callable[[], None]
    ) -> None:
        self._segments = max(segments, 1)
        self._done = 0
        self._report = report
        self._check_stop = check_stop

    def __call__(self, news: dict[str, Any]) -> None:
        self._check_stop()
        if news["state"] == "end":
            self._done += 1
            self._report(min(self._done / self._segments, 1.0))


def load_bag(weights: Weights) -> BagOfModels:
    """Build the models and put their weights in.

    Raises:
        Failure: `model_unavailable`: a file is not what the registry says it is.
    """
    bag = BagOfModels(
        [_load_model(path, weights) for path in weights.paths],
        weights.bag_weights,
        weights.segment,
    )
    if tuple(bag.sources) != weights.record.stems or bag.samplerate != weights.record.sample_rate:
        raise Failure(
            ErrorCode.MODEL_UNAVAILABLE,
            f"the registry's record of {weights.record.name} does not fit its weights: they give "
            f"{', '.join(bag.sources)} at {bag.samplerate} Hz",
        )
    return bag.eval()


def _load_model(path: Path, weights: Weights) -> Any:  # noqa: ANN401 - Demucs has no types
    header = read_header(path)
    if CLASSES.get(header["klass"]) != weights.record.architecture or header["quantized"]:
        raise Failure(
            ErrorCode.MODEL_UNAVAILABLE,
            f"{path} holds a model of class {str(header['klass'])[:80]}, which is not the plain "
            f"{weights.record.architecture} that the registry names",
        )
    module, name = header["klass"].rsplit(".", 1)
    architecture = getattr(importlib.import_module(module), name)
    try:
        model = architecture(*_decoded(header["args"]), **_decoded(header["kwargs"]))
        model.load_state_dict(load_file(path))  # fp16 in the file, cast to fp32 here
    except (RuntimeError, TypeError, ValueError, AssertionError) as error:
        raise Failure(
            ErrorCode.MODEL_UNAVAILABLE,
            f"{path} does not hold a complete {name}: {type(error).__name__}",
        ) from error
    return model


def _decoded(value: Any) -> Any:  # noqa: ANN401 - JSON
    """Return a constructor argument as it was before Demucs wrote it as JSON."""
    if isinstance(value, dict):
        if value.get("_type") == "fraction":
            return Fraction(value["numerator"], value["denominator"])
        return {key: _decoded(item) for key, item in value.items()}
    return [_decoded(item) for item in value] if isinstance(value, list) else value


def _spool_stems(
    mixture: Spool, output: Samples, names: list[str], options: Options, scratch: Path
) -> Separation:
    """Write the stems asked for to scratch; measure peaks and residual on the way."""
    wanted = options.stems or names
    has_remainder = options.remainder and options.stems is not None
    rows = [names.index(name) for name in wanted]
    targets = [*wanted, *([remainder_name(wanted)] if has_remainder else [])]
    writers = [SpoolWriter(scratch / f"{name}.f32") for name in targets]
    peaks = [0.0] * len(targets)
    energy = 0.0
    for start in range(0, mixture.frames, BLOCK_FRAMES):
        block = output[..., start : start + BLOCK_FRAMES]
        mixed = mixture.samples()[start : start + BLOCK_FRAMES].T
        stems = [block[row] for row in rows]
        rest = mixed - np.sum(stems, axis=0)
        energy += float(np.square(rest, dtype=np.float64).sum())
        for index, stem in enumerate([*stems, rest][: len(targets)]):
            writers[index].append(stem.T)
            peaks[index] = max(peaks[index], float(np.abs(stem).max()))
    if not all(map(math.isfinite, peaks)):
        raise Failure(ErrorCode.INTERNAL_ERROR, "the model gave samples that are not finite")
    rms = math.sqrt(energy / (2 * mixture.frames))
    whole = set(wanted) == set(names)
    return Separation(
        [
            SeparatedStem(name, writer.close(), peak)
            for name, writer, peak in zip(targets, writers, peaks, strict=True)
        ],
        max(20 * math.log10(rms), SILENCE_DBFS) if whole and rms else _silent(whole=whole),
    )


def _silent(*, whole: bool) -> float | None:
    return SILENCE_DBFS if whole else None


def _device(name: str) -> torch.device:
    """Return the device asked for.

    Raises:
        Failure: `gpu_error`: it is not there, or does not work.
    """
    if name == "cpu":
        return torch.device(name)
    there: dict[str, Callable[[], bool]] = {
        "cuda": torch.cuda.is_available,
        "mps": torch.backends.mps.is_available,
    }
    if name not in there:
        raise Failure(ErrorCode.WORKER_CONFIG, f"DEVICE must be cpu, cuda or mps, not {name!r}")
    if not there[name]():
        raise Failure(
            ErrorCode.GPU_ERROR,
            f"the device {name} was asked for, but torch {torch.__version__} finds none here: "
            "check the node's driver, the image, and the GPU resource of the pod",
        )
    try:
        torch.zeros(1, device=name)
    except RuntimeError as error:
        raise _runtime_failure(error, torch.device(name)) from error
    return torch.device(name)


def _full_precision() -> None:
    """Ask for IEEE fp32: cuDNN's convolutions would use TF32 by default."""
    backends: Any = torch.backends
    for backend in (backends, backends.cudnn.conv, backends.cuda.matmul):
        backend.fp32_precision = "ieee"


def _runtime_failure(error: BaseException, device: torch.device) -> Failure:
    """Return what a failure inside torch means for the job."""
    if isinstance(error, torch.OutOfMemoryError):
        return Failure(
            ErrorCode.GPU_OOM,
            f"the memory of the device {device.type} does not hold one segment of this model",
        )
    if isinstance(error, MemoryError) or "allocate memory" in str(error):
        return Failure(ErrorCode.WORKER_OOM, "the worker's memory does not suffice for this song")
    if device.type != "cpu":
        return Failure(
            ErrorCode.GPU_ERROR, f"the device {device.type} failed: {type(error).__name__}"
        )
    return Failure(
        ErrorCode.INTERNAL_ERROR, f"the separation broke off: {type(error).__name__} in torch"
    )
