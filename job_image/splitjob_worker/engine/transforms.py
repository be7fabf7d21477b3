"""The models' Fourier transforms, with windows that are made once and little memory.

`demucs.spec` makes a window in every forward pass and copies it to the device, which has to finish
what it was given before. What is calculated is the same.
"""

from collections.abc import Callable
from functools import lru_cache
from types import FunctionType, MethodType
from typing import Any

import torch

_ON_THE_CPU = {"mps", "xpu"}  # they lack these transforms (demucs.spec)


def exchange_transforms(model: Any, device: torch.device) -> None:  # noqa: ANN401 - no types
    """Let a model use the transforms below; a `Demucs` has none, and stays as it is.

    Demucs' methods find `spectro` and `ispectro` by their names: this model's get other ones.
    """
    for name in ("_spec", "_ispec"):
        method = getattr(type(model), name, None)
        if method is not None:
            names = {**method.__globals__, "spectro": spectrum, "ispectro": waveform}
            rebound = FunctionType(method.__code__, names, name, method.__defaults__)
            setattr(model, name, MethodType(rebound, model))
    if device.type == "cpu" and getattr(model, "cac", False):
        model._mask, model._ispec = _unmasked, one_by_one(model._ispec)  # noqa: SLF001


def _unmasked(_mixture: torch.Tensor, estimates: torch.Tensor) -> torch.Tensor:
    """Stand in for what makes complex numbers of all stems at once."""
    return estimates


def one_by_one(inverse: Callable[[torch.Tensor, int], torch.Tensor]) -> Callable[..., torch.Tensor]:
    """Let an inverse transform take one channel of one stem after the other.

    All at once take more memory than anything else in a forward pass, and do not fit into a
    processor's caches; a GPU is faster with all at once.

    Args:
        inverse: makes samples, shape (length), of a complex spectrogram, shape (bins, frames).

    Returns:
        What makes samples, shape (batch, stems, channels, length), of spectrograms, shape
        (batch, stems, 2 * channels, bins, frames): real and imaginary part of each channel.
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
    if samples.device.type in _ON_THE_CPU:
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

    A real signal has no imaginary part at 0 Hz and at the highest frequency, but what a model gives
    has one. On a CPU it is ignored; cuFFT, at some sizes, adds it to every other sample
    (https://github.com/pytorch/pytorch/issues/154496). So it is removed.

    Args:
        spectrogram: complex, shape (..., size / 2 + 1, frames); those parts of it are overwritten.
        hop: samples between two windows.
        length: samples wanted.

    Returns:
        Shape (..., length).
    """
    *others, frequencies, frames = spectrogram.shape
    size = 2 * frequencies - 2
    torch.view_as_real(spectrogram)[..., (0, -1), :, 1] = 0
    if spectrogram.device.type in _ON_THE_CPU:
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
