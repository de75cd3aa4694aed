"""Modules of every kind on a GPU: what they compute on the CPU, there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tenfold as tn

nn = tn.nn
RNG = np.random.default_rng(5)


def floats(*shape: int) -> tn.Tensor:
    return tn.tensor(RNG.standard_normal(shape).astype(np.float32))


MODULES: dict[str, tuple[Callable[[], Any], tuple[tn.Tensor, ...]]] = {
    "lstm": (lambda: nn.LSTM(3, 4, num_layers=2, dropout=0.5), (floats(5, 2, 3),)),
    "gru": (lambda: nn.GRU(3, 4, bidirectional=True), (floats(5, 2, 3),)),
    "attention": (lambda: nn.MultiheadAttention(8, 2, dropout=0.1), (floats(5, 2, 8),) * 3),
    "encoder": (lambda: nn.TransformerEncoderLayer(8, 2, 16), (floats(5, 2, 8),)),
    "convolutions": (
        lambda: nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout2d()),
        (floats(2, 1, 8, 8),),
    ),
    "embedding": (lambda: nn.Sequential(nn.Embedding(10, 4), nn.LayerNorm(4)), (tn.tensor([[1, 2], [3, 4]]),)),
    "upsampling": (lambda: nn.Upsample(scale_factor=2, mode="bilinear"), (floats(1, 1, 3, 3),)),
    "adaptive pooling": (lambda: nn.AdaptiveAvgPool2d(2), (floats(1, 2, 5, 5),)),
    "weighted loss": (
        lambda: nn.CrossEntropyLoss(weight=tn.tensor([1.0, 2.0, 3.0])),
        (floats(4, 3), tn.tensor([0, 1, 2, 0])),
    ),
}


@pytest.mark.parametrize("name", MODULES)
def test_a_module_computes_there_what_it_computes_here(name: str) -> None:
    make, inputs = MODULES[name]
    found: list[list[np.ndarray]] = []
    for device in ("cpu", "cuda:0"):
        tn.manual_seed(0)
        module = make().to(device)
        tn.manual_seed(1)
        result = module(*(each.to(device) for each in inputs))
        leaves = _leaves(result)
        assert all(each.device == tn.device(device) for each in leaves)
        total = sum(each.sum() for each in leaves)
        if total.requires_grad:
            total.backward()
        gradients = [each.grad for each in module.parameters() if each.grad is not None]
        found.append([each.detach().cpu().numpy() for each in (*leaves, *gradients)])
    for here, there in zip(*found, strict=True):
        np.testing.assert_allclose(there, here, rtol=1e-3, atol=1e-4)


def _leaves(result: Any) -> list[tn.Tensor]:
    if isinstance(result, tn.Tensor):
        return [result]
    return [leaf for part in result for leaf in _leaves(part)]
