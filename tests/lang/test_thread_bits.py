"""Results are the same bits for every number of threads, however work is shared out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tenfold as tn
from tenfold import tree


def loss(x: tn.Tensor, labels: tn.Tensor) -> tn.Tensor:
    return tn.cross_entropy(x, labels)


PROGRAMS: dict[str, Callable[[tn.Tensor, tn.Tensor], tn.Tensor]] = {
    "softmax": lambda x, y: tn.softmax(x, dim=-1),
    "layer norm": lambda x, y: tn.layer_norm(x, (x.shape[1],)),
    "loss": loss,
    "its gradient": lambda x, y: tn.grad(loss)(x, y),
    "sum of columns": lambda x, y: tn.sum(x, 0),
    "sum of all": lambda x, y: tn.sum(x),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_bits_are_those_of_one_thread(name: str) -> None:
    random = np.random.default_rng(11)
    x = random.normal(size=(3000, 129)).astype(np.float32)
    labels = random.integers(0, 129, 3000)
    results = [np.asarray(tn.compile(PROGRAMS[name], threads=threads)(x, labels)) for threads in (1, 2, 3)]
    assert results[0].tobytes() == results[1].tobytes() == results[2].tobytes()


def gradient_of(function: Callable[[tn.Tensor, tn.Tensor], tn.Tensor]) -> Callable[[tn.Tensor, tn.Tensor], Any]:
    return tn.grad(lambda x, y: tn.sum(tn.sin(function(x, y))), (0, 1))


def attention(x: tn.Tensor, y: tn.Tensor) -> tn.Tensor:
    return tn.nn.functional.scaled_dot_product_attention(x, y, x, is_causal=True)


Shape = tuple[int, ...]
KERNELS: dict[str, tuple[Shape, Shape, Callable[[tn.Tensor, tn.Tensor], tn.Tensor]]] = {
    "3x3, one image": ((1, 256, 14, 14), (256, 256, 3, 3), lambda x, w: tn.conv2d(x, w, padding=1)),
    "3x3, large images": ((2, 16, 56, 50), (24, 16, 3, 3), lambda x, w: tn.conv2d(x, w, padding=1)),
    "3x3, strided": ((3, 33, 28, 28), (65, 33, 3, 3), lambda x, w: tn.conv2d(x, w, stride=2)),
    "7x7, few channels": ((1, 3, 75, 75), (32, 3, 7, 7), lambda x, w: tn.conv2d(x, w, stride=2)),
    "3x3, many images": ((21, 16, 14, 14), (32, 16, 3, 3), lambda x, w: tn.conv2d(x, w, padding=1)),
    "3x3, one channel": ((61, 1, 28, 27), (18, 1, 3, 3), lambda x, w: tn.conv2d(x, w, padding=1)),
    "1x1": ((2, 130, 28, 28), (70, 130, 1, 1), tn.conv2d),
    "depthwise": ((2, 96, 33, 33), (96, 1, 3, 3), lambda x, w: tn.conv2d(x, w, padding=1, groups=96)),
    "groups": ((1, 64, 30, 30), (96, 16, 3, 3), lambda x, w: tn.conv2d(x, w, padding=1, groups=4)),
    "in one dimension": ((4, 64, 500), (48, 64, 5), lambda x, w: tn.conv1d(x, w, padding=2)),
    "product": ((257, 300), (300, 263), tn.matmul),
    "product, few rows": ((9, 700), (700, 513), tn.matmul),
    "product, deep": ((64, 5000), (5000, 70), tn.matmul),
    "product by a vector": ((1, 3000), (3000, 700), tn.matmul),
    "product of a batch": ((40, 60, 33), (40, 33, 50), tn.matmul),
    "small products": ((700, 8, 8), (700, 8, 8), tn.matmul),
    "attention": ((2, 3, 200, 64), (2, 3, 200, 64), attention),
    "x + y.T": ((700, 900), (900, 700), lambda x, y: x + y.T),
    "scan": ((400, 600), (400, 600), lambda x, y: tn.cumsum(x, 0) + tn.cumsum(y, 1)),
    "sort": ((3, 50_000), (1,), lambda x, y: tn.sort(x, dim=-1)[0] + y),
    "column sums": ((300, 900), (300, 900), lambda x, y: tn.sum(tn.exp(x), 0) * tn.sum(x * y, 0)),
    "pool": ((4, 32, 61, 61), (1,), lambda x, y: tn.nn.functional.max_pool2d(x, 3, 2, 1) + y),
}


@pytest.mark.parametrize("gradient", [False, True], ids=["forward", "gradient"])
@pytest.mark.parametrize("name", KERNELS)
def test_the_bits_of_a_kernel_are_those_of_one_thread(name: str, gradient: bool) -> None:
    first, second, function = KERNELS[name]
    random = np.random.default_rng(12)
    x, y = (random.normal(size=shape).astype(np.float32) / 8 for shape in (first, second))
    computed = tn.compile(gradient_of(function) if gradient else function)
    with tn.threads(1):
        wanted = tree.flatten(computed(x, y))[0]
    for threads in (2, 3):
        with tn.threads(threads):
            found = tree.flatten(computed(x, y))[0]
        assert [np.asarray(each).tobytes() for each in found] == [np.asarray(each).tobytes() for each in wanted]
