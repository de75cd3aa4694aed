"""Random tensors without a key: of the distribution, shape and element type that PyTorch's functions give."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tenfold as tn

COUNT = 4096
MOMENTS: dict[str, tuple[Callable[[], tn.Tensor], float, float]] = {
    "rand": (lambda: tn.rand(COUNT), 0.5, 12**-0.5),
    "randn": (lambda: tn.randn(COUNT), 0, 1),
    "randint": (lambda: tn.randint(-2, 3, (COUNT,)), 0, 2**0.5),
    "randint of a wide range": (lambda: tn.randint(-(2**40), 2**40, (COUNT,)) / 2**40, 0, 3**-0.5),
    "randint_like": (lambda: tn.randint_like(tn.zeros(COUNT), 5), 2, 2**0.5),
    "normal": (lambda: tn.normal(2.0, 3.0, (COUNT,)), 2, 3),
    "normal of tensors": (lambda: tn.normal(tn.full((COUNT,), 2.0), tn.tensor(3.0)), 2, 3),
    "bernoulli": (lambda: tn.bernoulli(tn.full((COUNT,), 0.3)), 0.3, 0.21**0.5),
    "poisson of a small rate": (lambda: tn.poisson(tn.full((COUNT,), 2.5)), 2.5, 2.5**0.5),
    "poisson of a large rate": (lambda: tn.poisson(tn.full((COUNT,), 50.0)), 50, 50**0.5),
    "uniform_": (lambda: tn.zeros(COUNT).uniform_(-1, 3), 1, 4 / 12**0.5),
    "normal_": (lambda: tn.zeros(COUNT).normal_(-1, 0.5), -1, 0.5),
    "log_normal_": (
        lambda: tn.zeros(COUNT).log_normal_(0, 0.5),
        math.exp(0.125),
        math.sqrt((math.exp(0.25) - 1) * math.exp(0.25)),
    ),
    "cauchy_": (lambda: tn.atan((tn.zeros(COUNT).cauchy_(2, 3) - 2) / 3), 0, math.pi / 12**0.5),
    "exponential_": (lambda: tn.zeros(COUNT).exponential_(2), 0.5, 0.5),
    "geometric_": (lambda: tn.zeros(COUNT).geometric_(0.25), 4, 12**0.5),
    "bernoulli_": (lambda: tn.zeros(COUNT).bernoulli_(0.3), 0.3, 0.21**0.5),
    "bernoulli_ of a tensor": (lambda: tn.zeros(COUNT).bernoulli_(tn.full((COUNT,), 0.7)), 0.7, 0.21**0.5),
    "random_": (lambda: tn.zeros(COUNT).random_(1, 5), 2.5, 1.25**0.5),
    "random_ of bytes": (lambda: tn.zeros(COUNT, dtype=tn.uint8).random_(), 127.5, 256 / 12**0.5),
    "random_ of floats": (lambda: tn.zeros(COUNT).random_() / 2**24, 0.5, 12**-0.5),
}


def test_moments() -> None:
    tn.manual_seed(20)
    drawn = {name: sample() for name, (sample, _, _) in MOMENTS.items()}
    for name, (_, mean, deviation) in MOMENTS.items():
        values = drawn[name].numpy().astype(np.float64)
        assert values.shape == (COUNT,), name
        assert abs(values.mean() - mean) < 5 * deviation / COUNT**0.5, name
        assert abs(values.std() / deviation - 1) < 0.2, name


def test_integers_are_all_within_their_bounds() -> None:
    for drawn in (tn.randint(-2, 3, (500,)), tn.zeros(500).random_(-2, 3), tn.randint_like(tn.zeros(500), -2, 3)):
        assert set(drawn.tolist()) == {-2, -1, 0, 1, 2}
    assert set(tn.randint(256, size=(3000,), dtype=tn.uint8).tolist()) == set(range(256))
    assert set(tn.zeros(20, dtype=tn.bool).random_().tolist()) == {False, True}
    assert all(0 <= number < 2**63 for number in tn.zeros(5, dtype=tn.int64).random_().tolist())


def test_randperm_orders_all_numbers() -> None:
    first, second = tn.randperm(50).tolist(), tn.randperm(50).tolist()
    assert sorted(first) == sorted(second) == list(range(50))
    assert first != second
    assert tn.randperm(0).tolist() == []
    assert tn.randperm(3, dtype=tn.int32).dtype is tn.int32


def test_multinomial_draws_as_the_weights_say() -> None:
    tn.manual_seed(2)
    weights = tn.tensor([0.0, 1.0, 0.0, 3.0, 0.0])
    drawn = weights.multinomial(COUNT, replacement=True)
    assert set(drawn.tolist()) == {1, 3}
    assert abs((drawn == 3).sum().item() / COUNT - 0.75) < 0.035
    single = tn.multinomial(weights.expand(COUNT, 5), 1)
    assert single.shape == (COUNT, 1)
    assert abs((single == 3).sum().item() / COUNT - 0.75) < 0.035
    rows = tn.multinomial(tn.tensor([[1.0, 2, 3], [0, 1, 1]]), 2)
    assert len(set(rows[0].tolist())) == 2
    assert set(rows[1].tolist()) == {1, 2}
    assert tn.multinomial(tn.tensor([[1.0, 0], [0, 1]]), 3, True).tolist() == [[0, 0, 0], [1, 1, 1]]


LIKE = tn.zeros(2, 3, dtype=tn.float64)
TYPES: dict[str, tuple[Callable[[], tn.Tensor], tuple[int, ...], Any]] = {
    "rand": (lambda: tn.rand(2, 3), (2, 3), tn.float32),
    "rand of a size": (lambda: tn.rand(size=(2, 3), dtype=tn.float64), (2, 3), tn.float64),
    "rand without axes": (lambda: tn.rand(()), (), tn.float32),
    "rand of half floats": (lambda: tn.rand((4, 0), dtype=tn.bfloat16), (4, 0), tn.bfloat16),
    "randn": (lambda: tn.randn((2,), dtype=tn.float16), (2,), tn.float16),
    "rand_like": (lambda: tn.rand_like(LIKE), (2, 3), tn.float64),
    "rand_like of integers": (lambda: tn.rand_like(tn.arange(3), dtype=tn.float), (3,), tn.float32),
    "randn_like": (lambda: tn.randn_like(LIKE), (2, 3), tn.float64),
    "randint": (lambda: tn.randint(5, (2,)), (2,), tn.int64),
    "randint by names": (lambda: tn.randint(high=5, size=(2,), dtype=tn.float32), (2,), tn.float32),
    "randint_like": (lambda: tn.randint_like(LIKE, 1, 5), (2, 3), tn.float64),
    "normal": (lambda: tn.normal(0.0, 1.0, (2, 1)), (2, 1), tn.float32),
    "normal of tensors": (lambda: tn.normal(tn.zeros(3), tn.ones(2, 1)), (2, 3), tn.float32),
    "normal of a mean": (lambda: tn.normal(LIKE), (2, 3), tn.float64),
    "bernoulli": (lambda: tn.bernoulli(LIKE), (2, 3), tn.float64),
    "bernoulli of integers": (lambda: tn.zeros(2, dtype=tn.int64).bernoulli(0.5), (2,), tn.int64),
    "poisson": (lambda: tn.poisson(LIKE), (2, 3), tn.float64),
    "multinomial": (lambda: tn.multinomial(LIKE + 1, 2), (2, 2), tn.int64),
    "bernoulli_": (lambda: tn.zeros(2, dtype=tn.bool).bernoulli_(), (2,), tn.bool),
    "uniform_": (lambda: tn.zeros(0).uniform_(), (0,), tn.float32),
}


def test_shapes_and_element_types() -> None:
    for name, (sample, shape, dtype) in TYPES.items():
        drawn = sample()
        assert (tuple(drawn.shape), drawn.dtype) == (shape, dtype), name


def test_what_is_drawn_may_require_a_gradient() -> None:
    x = tn.randn(3, requires_grad=True, device="cpu")
    assert x.is_leaf
    (x * x).sum().backward()
    assert x.grad is not None
    np.testing.assert_allclose(x.grad, 2 * x.detach())
    assert not tn.normal(x, 1.0).requires_grad
    assert not tn.bernoulli(tn.sigmoid(x)).requires_grad


def test_a_view_is_filled_in_its_base() -> None:
    base = tn.zeros(3, 4)
    base[1].view(4).uniform_(1, 2)
    assert (base != 0).any(dim=1).tolist() == [False, True, False]
    assert ((base[1] >= 1) & (base[1] < 2)).all()


REFUSED: dict[str, tuple[Callable[[], object], type[Exception], str]] = {
    "integers from rand": (lambda: tn.rand(2, dtype=tn.int64), RuntimeError, "gives floats"),
    "integers filled": (lambda: tn.zeros(2, dtype=tn.int64).uniform_(), RuntimeError, "gives floats"),
    "an empty range": (lambda: tn.randint(5, 5, (2,)), RuntimeError, "from=5 is not less than to=5"),
    "a range beyond bytes": (lambda: tn.randint(0, 300, (2,), dtype=tn.uint8), RuntimeError, "does not hold"),
    "a negative size": (lambda: tn.randperm(-1), RuntimeError, "not at least 0"),
    "a negative deviation": (lambda: tn.normal(0.0, -1.0, (2,)), RuntimeError, "std is -1.0"),
    "probabilities of integers": (lambda: tn.bernoulli(tn.ones(2, dtype=tn.int64)), RuntimeError, "gives floats"),
    "a probability above 1": (lambda: tn.zeros(2).bernoulli_(2), RuntimeError, "p is 2"),
    "more samples than there are": (lambda: tn.multinomial(tn.ones(2), 3), RuntimeError, "without replacement"),
    "no samples": (lambda: tn.multinomial(tn.ones(2), 0), RuntimeError, "n_sample <= 0"),
    "three axes": (lambda: tn.multinomial(tn.ones(2, 2, 2), 1), RuntimeError, "neither one nor two axes"),
    "a reversed range": (lambda: tn.zeros(2).uniform_(2, 1), RuntimeError, "from=2 is more than to=1"),
    "no rate": (lambda: tn.zeros(2).exponential_(0), RuntimeError, "lambd is 0"),
    "a leaf": (lambda: tn.zeros(2, requires_grad=True).normal_(), RuntimeError, "a leaf Variable"),
    "no size": (lambda: tn.randint(3), ValueError, "no size"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    call, kind, message = REFUSED[name]
    state = tn.get_rng_state().tolist()
    with pytest.raises(kind, match=message):
        call()
    assert tn.get_rng_state().tolist() == state
