"""Exchanged parts against the originals."""

import copy
import random
from typing import Any

import pytest
import torch
from demucs.transformer import CrossTransformerEncoder
from torch import nn

from splitjob_worker.engine.modules import (
    PointwiseConvolution,
    Transformer,
    TransposedConvolution,
    optimised,
    position_draws,
)

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("original", "shape", "kind"),
    [
        (nn.Conv1d(6, 10, 1), (3, 6, 11), PointwiseConvolution),
        (nn.Conv2d(6, 10, 1, bias=False), (3, 6, 5, 7), PointwiseConvolution),
        (nn.ConvTranspose1d(6, 3, 8, 4), (2, 6, 9), TransposedConvolution),
        (nn.ConvTranspose1d(6, 3, 4, 2, bias=False), (2, 6, 1), TransposedConvolution),
        (nn.ConvTranspose2d(6, 3, (8, 1), (4, 1)), (2, 6, 5, 7), TransposedConvolution),
        (nn.Conv1d(6, 10, 3), (3, 6, 11), nn.Conv1d),
        (nn.Conv1d(6, 10, 1, stride=2), (3, 6, 11), nn.Conv1d),
        (nn.Conv2d(6, 10, 1, padding=1), (3, 6, 5, 7), nn.Conv2d),
        (nn.ConvTranspose1d(6, 3, 8, 2), (2, 6, 9), nn.ConvTranspose1d),
        (nn.ConvTranspose2d(6, 3, (8, 2), (4, 1)), (2, 6, 5, 7), nn.ConvTranspose2d),
    ],
)
@torch.inference_mode()
def test_convolutions(original: nn.Module, shape: tuple[int, ...], kind: type[nn.Module]) -> None:
    exchanged = optimised(nn.Sequential(copy.deepcopy(original)).requires_grad_(False), CPU)
    assert type(exchanged[0]) is kind
    x = torch.randn(shape)
    torch.testing.assert_close(exchanged(x), original(x))
    assert torch.equal(exchanged(x), exchanged(x))


def test_a_gpu_keeps_its_own_convolutions() -> None:
    exchanged = optimised(nn.Sequential(nn.Conv1d(6, 10, 1)), torch.device("cuda"))
    assert type(exchanged[0]) is nn.Conv1d


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"sin_random_shift": 9},
        {"cross_first": True, "norm_in": False, "weight_pos_embed": 0.3},
        {"emb": "cape"},
        {"emb": "scaled", "norm_in": False, "norm_in_group": True},
    ],
)
@torch.inference_mode()
def test_the_transformer(options: dict[str, Any]) -> None:
    torch.manual_seed(1)
    original = CrossTransformerEncoder(dim=16, num_heads=4, num_layers=3, **options).eval()
    exchanged = Transformer(original)
    for times in (7, 5, 7):
        x, xt = torch.randn(2, 16, 3, times), torch.randn(2, 16, 2 * times)
        random.seed(times)
        with position_draws([random.randrange(options.get("sin_random_shift", 0) + 1)] * 2):
            found = exchanged(x, xt)
        random.seed(times)
        for ours, theirs in zip(found, original(x, xt), strict=True):
            torch.testing.assert_close(ours, theirs)


@torch.inference_mode()
def test_memory_does_not_grow_with_the_draws() -> None:
    options: dict[str, Any] = {"dim": 16, "num_heads": 4, "num_layers": 1}
    exchanged = Transformer(CrossTransformerEncoder(**options, sin_random_shift=99).eval())
    x, xt = torch.randn(2, 16, 3, 7), torch.randn(2, 16, 14)
    kept = []
    for draw in range(4):
        with position_draws([draw, 2 * draw]):
            exchanged(x, xt)
        kept.append(len(exchanged._embeddings))
    assert kept == [2, 2, 2, 2]
