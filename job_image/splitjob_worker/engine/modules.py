"""Replaces modules of Demucs' models by faster ones that compute the same."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from demucs import transformer
from torch import nn

from splitjob_worker.engine.demucs_types import DemucsModel
from splitjob_worker.engine.transforms import replace_transforms

_PARTS = 4  # of a matrix product
_draws: ContextVar[Sequence[int]] = ContextVar("draws", default=())


@contextmanager
def position_draws(draws: Sequence[int]) -> Iterator[None]:
    """Let the models of this thread use these numbers where Demucs would draw random ones.

    Args:
        draws: shifts of the positional embedding, one for each item of the next batch.
    """
    before = _draws.set(draws)
    try:
        yield
    finally:
        _draws.reset(before)


def optimised(model: DemucsModel, device: torch.device) -> DemucsModel:
    """Replace the modules that can be replaced, in place; return the model.

    Convolutions are replaced on a CPU only: on GPUs, the libraries' own are as fast.
    """
    if device.type == "cpu":
        for module in list(model.modules()):
            for name, child in list(module.named_children()):
                if _is_pointwise(child):
                    setattr(module, name, PointwiseConvolution(child))
                elif _is_half_overlapping(child):
                    setattr(module, name, TransposedConvolution(child))
    if getattr(model, "crosstransformer", None) is not None:
        model.crosstransformer = Transformer(model.crosstransformer)
    replace_transforms(model, device)
    return model


def _is_pointwise(module: DemucsModel) -> bool:
    return (
        type(module) in {nn.Conv1d, nn.Conv2d}
        and {*module.kernel_size, *module.stride, *module.dilation, module.groups} == {1}
        and set(module.padding) == {0}
    )


def _is_half_overlapping(module: DemucsModel) -> bool:
    return (
        type(module) in {nn.ConvTranspose1d, nn.ConvTranspose2d}
        and module.kernel_size[0] == 2 * module.stride[0]
        and {*module.kernel_size[1:], *module.stride[1:], *module.dilation, module.groups} == {1}
        and {*module.padding, *module.output_padding} == {0}
    )


class PointwiseConvolution(nn.Module):
    """A convolution of kernel size 1, as a matrix product: up to five times as fast."""

    def __init__(self, convolution: nn.Conv1d | nn.Conv2d) -> None:
        super().__init__()
        self.weight = nn.Parameter(convolution.weight.flatten(1), requires_grad=False)
        self.bias = convolution.bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (batch, inputs, ...) to (batch, outputs, ...)."""
        result = torch.matmul(self.weight, x.flatten(2))
        if self.bias is not None:
            result.add_(self.bias[:, None])
        return result.reshape(len(x), -1, *x.shape[2:])


class TransposedConvolution(nn.Module):
    """A transposed convolution along the first dimension, with a kernel of twice its stride.

    Every input gives two strides of output, and the second overlaps the first of the next input:
    matrix products and an addition, in two thirds of the time. The product is made in parts, since
    that of the last layer would be larger than everything else in a forward pass.
    """

    def __init__(self, convolution: nn.ConvTranspose1d | nn.ConvTranspose2d) -> None:
        super().__init__()
        self._stride = convolution.stride[0]
        inputs, outputs, *_ = convolution.weight.shape
        weight = convolution.weight.reshape(inputs, outputs, 2, self._stride)
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.bias = convolution.bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (batch, inputs, n, ...) to (batch, outputs, (n + 1) * stride, ...)."""
        batch, _, length, *others = x.shape
        outputs = self.weight.shape[1]
        result = x.new_empty(batch, outputs, length + 1, self._stride, *others)
        result[:, :, -1] = 0
        parts = zip(result.chunk(_PARTS, 1), self.weight.chunk(_PARTS, 1), strict=True)
        for part, weight in parts:
            first, second = weight.unbind(2)
            part[:, :, :-1] = self._strides(first, x)
            part[:, :, 1:] += self._strides(second, x)
        if self.bias is not None:
            result += self.bias.view(-1, *[1] * (result.dim() - 2))
        return result.flatten(2, 3)

    def _strides(self, half: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """Return the output of each input in one stride, shape (batch, outputs, n, stride, ...)."""
        batch, _, *shape = x.shape
        products = torch.matmul(half.flatten(1).t(), x.flatten(2))
        return products.view(batch, -1, self._stride, *shape).transpose(2, 3)


class Transformer(nn.Module):
    """`demucs.transformer.CrossTransformerEncoder` with cached positional embeddings.

    Where Demucs draws random numbers, it uses those of `position_draws`.
    """

    def __init__(self, encoder: DemucsModel) -> None:
        super().__init__()
        self.encoder = encoder
        self._embeddings: dict[object, torch.Tensor] = {}

    def forward(self, x: torch.Tensor, xt: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the spectral (b, c, fr, t1) and temporal (b, c, t2) branch, as the original."""
        encoder: Any = self.encoder
        times = x.shape[-1]
        x_place, xt_place = self._spectral(x), self._temporal(xt)
        x = encoder.norm_in(x.permute(0, 3, 2, 1).flatten(1, 2)) + x_place
        xt = encoder.norm_in_t(xt.transpose(1, 2)) + xt_place
        for index, (layer, layer_t) in enumerate(
            zip(encoder.layers, encoder.layers_t, strict=True)
        ):
            if index % 2 == encoder.classic_parity:
                x, xt = layer(x), layer_t(xt)
            else:
                x, xt = layer(x, xt), layer_t(xt, x)
        x = x.reshape(len(x), times, -1, x.shape[-1])
        return x.permute(0, 3, 2, 1), xt.transpose(1, 2)

    def _spectral(self, x: torch.Tensor) -> torch.Tensor:
        """Return the embedding of frequencies and times, shape (1, t1 * fr, c)."""
        _, channels, frequencies, times = x.shape
        embedding: Any = transformer.create_2d_sin_embedding
        key = (channels, frequencies, times, x.device)
        if key not in self._embeddings:
            made = embedding(channels, frequencies, times, x.device, self.encoder.max_period)
            place = made.permute(0, 3, 2, 1).flatten(1, 2)
            self._embeddings[key] = self.encoder.weight_pos_embed * place
        return self._embeddings[key]

    def _temporal(self, xt: torch.Tensor) -> torch.Tensor:
        """Return the embedding of times, shape (1 or b, t2, c)."""
        batch, channels, times = xt.shape
        if self.encoder.emb == "sin":
            draws = _draws.get() or [0] * batch
            if len(set(draws)) == 1:
                return self._sine(channels, times, draws[0], xt.device)
            return torch.cat([self._sine(channels, times, draw, xt.device) for draw in draws])
        made = self.encoder._get_pos_embedding(times, batch, channels, xt.device)  # noqa: SLF001
        place: torch.Tensor = self.encoder.weight_pos_embed * made.transpose(0, 1)
        return place

    def _sine(self, channels: int, times: int, draw: int, device: torch.device) -> torch.Tensor:
        """Return the embedding of times, shape (1, t2, c).

        Only the unshifted one is cached: shifted ones differ from segment to segment, so that
        memory would grow with the song.
        """
        key = (channels, times, device)
        if draw == 0 and key in self._embeddings:
            return self._embeddings[key]
        made = transformer.create_sin_embedding(
            times, channels, shift=draw, device=device, max_period=self.encoder.max_period
        )
        place: torch.Tensor = self.encoder.weight_pos_embed * made.transpose(0, 1)
        if draw == 0:
            self._embeddings[key] = place
        return place
