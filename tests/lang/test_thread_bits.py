"""Results are the same bits for every number of threads, where rows, columns and long sums are shared out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import tenfold as tn


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
