"""The device that a model runs on: which one, at what precision, and what its failures mean."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from splitjob.errors import ErrorCode, Failure
from splitjob_worker.engine.options import Precision

# Parts of the messages of torch, and of the libraries it calls: cuBLAS, cuDNN, cuFFT.
_OUT_OF_MEMORY = ("out of memory", "allocate memory", "ALLOC_FAILED", "ALLOCATION_FAILED")
_DEVICE = ("CUDA error", "CUDA driver", "CUBLAS_STATUS", "CUDNN_STATUS", "CUFFT_", "MPS backend")

# Errors of a CUDA device, with the tensors in their tracebacks: if those were freed, torch would
# notice the failed device in a destructor, where all it can do is end the process.
_retained: list[BaseException] = []


def best_device() -> str:
    """Return the kind of the fastest device that torch finds: `cuda`, `mps` or `cpu`."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def open_device(name: str) -> torch.device:
    """Return the device asked for.

    Args:
        name: `cpu`, `cuda` or `mps`, which is an error where there is none, or `auto`, the fastest
            that torch finds.

    Raises:
        Failure: `gpu_error`: it is not there, or does not work; `worker_config`.
    """
    if name == "auto":
        name = best_device()
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
            "check the driver, and in a cluster the image and the GPU resource of the pod",
        )
    try:
        torch.zeros(1, device=name)
    except RuntimeError as error:
        raise failure(error, torch.device(name)) from error
    return torch.device(name)


def configure_torch(threads: int, precision: Precision) -> None:
    """Set torch's threads and precision for the whole process.

    Args:
        threads: CPUs to use.
        precision: `ieee` is full fp32, which has to be set: cuDNN's convolutions use TF32 by
            default.
    """
    torch.set_num_threads(threads)
    backends: Any = torch.backends
    for backend in (
        backends,
        backends.cudnn.conv,
        backends.cudnn.rnn,
        backends.cuda.matmul,
    ):
        backend.fp32_precision = "tf32" if precision == "tf32" else "ieee"
    # The fast path for inference materialises the whole attention matrix; without it, torch uses
    # the fused kernel.
    backends.mha.set_fastpath_enabled(False)


def half_precision(device: torch.device, precision: Precision) -> AbstractContextManager[object]:
    """Return the context of a forward pass: torch's autocast for `fp16` and `bf16`, else none."""
    types = {"fp16": torch.float16, "bf16": torch.bfloat16}
    if precision not in types:
        return nullcontext()
    return torch.autocast(device.type, types[precision])


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether the device (or the machine) had too little memory."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(
        words in str(error) for words in _OUT_OF_MEMORY
    )


def is_device_error(error: BaseException) -> bool:
    """Return whether the device, or the machine's memory, failed, rather than the model's input."""
    return is_out_of_memory(error) or any(words in str(error) for words in _DEVICE)


def failure(error: BaseException, device: torch.device) -> Failure:
    """Return the failure of the job that an error inside torch means."""
    if is_out_of_memory(error) and device.type != "cpu":
        return Failure(
            ErrorCode.GPU_OOM,
            f"the memory of the device {device.type} does not hold one segment of this model",
        )
    if is_out_of_memory(error):
        return Failure(ErrorCode.WORKER_OOM, "the worker's memory does not suffice for this song")
    if device.type != "cpu":
        _retained.append(error)
        return Failure(
            ErrorCode.GPU_ERROR, f"the device {device.type} failed: {type(error).__name__}"
        )
    return Failure(
        ErrorCode.INTERNAL_ERROR, f"the separation broke off: {type(error).__name__} in torch"
    )
