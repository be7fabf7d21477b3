"""The models' Fourier transforms, with cached windows and little memory.

`demucs.spec` makes a window in every forward pass and copies it to the device, which has to finish
its other work for that. The results are the same.
"""

from collections.abc import Callable
from functools import lru_cache
from types import FunctionType, MethodType
from typing import TypeAlias

import torch

from splitjob_worker.engine.demucs_types import DemucsModel

InverseTransform: TypeAlias = Callable[[torch.Tensor, int], torch.Tensor]

_WITHOUT_TRANSFORMS = {"mps", "xpu"}  # these devices lack them (demucs.spec): the CPU does it


def replace_transforms(model: DemucsModel, device: torch.device) -> None:
    """Let a model use the transforms below; a `Demucs` has none and stays as it is.

    Demucs' methods look `spectro` and `ispectro` up by name: those of this model find ours.
    """
    for name in ("_spec", "_ispec"):
        method = getattr(type(model), name, None)
        if method is not None:
            names = {**method.__globals__, "spectro": spectrum, "ispectro": waveform}
            rebound = FunctionType(method.__code__, names, name, method.__defaults__)
            setattr(model, name, MethodType(rebound, model))
    if device.type == "cpu" and getattr(model, "cac", False):
        model._mask, model._ispec = _unmasked, per_channel(model._ispec)  # noqa: SLF001


def _unmasked(_mixture: torch.Tensor, estimates: torch.Tensor) -> torch.Tensor:
    """Stand in for the method that makes complex numbers of all stems together."""
    return estimates


def per_channel(inverse: InverseTransform) -> InverseTransform:
    """Return an inverse transform that handles one channel of one stem after the other.

    Together they take more memory than anything else in a forward pass and do not fit into a
    processor's caches. A GPU is faster with all of them together.

    Args:
        inverse: from a complex spectrogram, shape (bins, frames), to samples, shape (length).

    Returns:
        A function from spectrograms, shape (batch, stems, 2 * channels, bins, frames) with real and
        imaginary part of each channel, to samples, shape (batch, stems, channels, length).
    """

    def transformed(spectrograms: torch.Tensor, length: int) -> torch.Tensor:
        batch, stems, parts, *shape = spectrograms.shape
        result = spectrograms.new_empty(batch, stems, parts // 2, length)
        channels = zip(spectrograms.view(-1, 2, *shape), result.view(-1, length), strict=True)
        for (real, imaginary), samples in channels:
            samples.copy_(inverse(torch.complex(real, imaginary), length))
        return result

    return transformed


def spectrum(samples: torch.Tensor, size: int, hop: int) -> torch.Tensor:
    """Return the short-time Fourier transform, as `demucs.spec.spectro` does.

    Args:
        samples: shape (..., n).
        size: samples of a window.
        hop: samples between two windows.

    Returns:
        Complex, shape (..., size / 2 + 1, frames).
    """
    *others, length = samples.shape
    if samples.device.type in _WITHOUT_TRANSFORMS:
        samples = samples.cpu()
    result = torch.stft(
        samples.reshape(-1, length),
        size,
        hop,
        window=_window(size, samples.dtype, samples.device),
        normalized=True,
        return_complex=True,
    )
    return result.view(*others, *result.shape[1:])


def waveform(spectrogram: torch.Tensor, hop: int, length: int) -> torch.Tensor:
    """Return the samples of a Fourier transform, as `demucs.spec.ispectro` does on a CPU.

    A real signal has no imaginary part at 0 Hz and at the highest frequency, but a model's output
    does. A CPU ignores it; cuFFT, at some sizes, adds it to every other sample
    (https://github.com/pytorch/pytorch/issues/154496). So it is set to zero.

    Args:
        spectrogram: complex, shape (..., size / 2 + 1, frames); is changed.
        hop: samples between two windows.
        length: samples wanted.

    Returns:
        Shape (..., length).
    """
    *others, frequencies, frames = spectrogram.shape
    size = 2 * frequencies - 2
    torch.view_as_real(spectrogram)[..., (0, -1), :, 1] = 0
    if spectrogram.device.type in _WITHOUT_TRANSFORMS:
        spectrogram = spectrogram.cpu()
    result = torch.istft(
        spectrogram.view(-1, frequencies, frames),
        size,
        hop,
        window=_window(size, spectrogram.real.dtype, spectrogram.device),
        normalized=True,
        length=length,
    )
    return result.view(*others, length)


@lru_cache(maxsize=8)
def _window(size: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    return torch.hann_window(size).to(device, dtype)
