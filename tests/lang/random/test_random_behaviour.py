"""Random numbers as programs use them: anywhere the same, distributed as they should be, differentiable."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tenfold as tn
from tenfold_rt.errors import ArgumentError, DTypeError, ShapeError, UnsupportedError

KEY = tn.random.key(11)
COUNT = 20000


def test_compiled_batched_and_scanned_numbers_are_those_of_a_single_call() -> None:
    keys = tn.random.split(KEY, 3)
    expected = np.stack([np.asarray(tn.random.normal(key, (4,))) for key in (keys[n] for n in range(3))])
    compiled = tn.compile(lambda keys: tn.vmap(lambda key: tn.random.normal(key, (4,)))(keys))
    np.testing.assert_array_equal(compiled(keys), expected)
    _, scanned = tn.scan(lambda carry, key: (carry, tn.random.normal(key, (4,))), np.float32(0), keys)
    np.testing.assert_array_equal(scanned, expected)


def test_the_number_of_threads_changes_nothing() -> None:
    draw = tn.compile(lambda key: tn.random.normal(key, (300_001,)))
    with tn.threads(1):
        alone = np.asarray(draw(KEY))
    with tn.threads(4):
        np.testing.assert_array_equal(draw(KEY), alone)


def test_a_number_depends_on_its_place_alone() -> None:
    np.testing.assert_array_equal(tn.random.bits(KEY, (5,)), np.asarray(tn.random.bits(KEY, (3, 7))).ravel()[:5])


@pytest.mark.parametrize("seed", [np.int64(-3), np.uint32(5), np.int64(2**40 + 5)])
def test_a_seed_may_be_computed(seed: Any) -> None:
    np.testing.assert_array_equal(tn.compile(tn.random.key)(np.asarray(seed)), tn.random.key(int(seed)))


def normal_distribution(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2))


DISTRIBUTIONS: dict[str, tuple[Callable[[], Any], Callable[[float], float]]] = {
    "uniform": (lambda: tn.random.uniform(KEY, COUNT, minval=-1.0, maxval=3.0), lambda x: (x + 1) / 4),
    "normal": (lambda: tn.random.normal(KEY, COUNT), normal_distribution),
    "exponential": (lambda: tn.random.exponential(KEY, COUNT), lambda x: 1 - math.exp(-x)),
    "gumbel": (lambda: tn.random.gumbel(KEY, COUNT), lambda x: math.exp(-math.exp(-x))),
    "gamma": (lambda: tn.random.gamma(KEY, np.float32(2), COUNT), lambda x: 1 - math.exp(-x) * (1 + x)),
    "truncated_normal": (
        lambda: tn.random.truncated_normal(KEY, 0.0, 9.0, COUNT),
        lambda x: 2 * normal_distribution(x) - 1,
    ),
}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_numbers_are_distributed_so(name: str) -> None:
    """Kolmogorov and Smirnov's statistic stays below what one sample in 10 000 exceeds."""
    draw, distribution = DISTRIBUTIONS[name]
    reached = np.array([distribution(float(x)) for x in np.sort(np.asarray(draw()))])
    steps = np.arange(COUNT + 1) / COUNT
    distance = max(np.max(reached - steps[:-1]), np.max(steps[1:] - reached))
    assert distance * math.sqrt(COUNT) < 2.23


def test_categories_are_as_likely_as_their_softmax() -> None:
    drawn = tn.random.categorical(KEY, np.log(np.array([1, 2, 5], np.float32)), shape=COUNT)
    np.testing.assert_allclose(np.bincount(np.asarray(drawn), minlength=3) / COUNT, [1 / 8, 2 / 8, 5 / 8], atol=0.01)


def test_a_permutation_moves_rows_together() -> None:
    x = np.arange(12).reshape(4, 3)
    shuffled = np.asarray(tn.random.permutation(KEY, x))
    np.testing.assert_array_equal(np.sort(shuffled, 0), x)
    assert not np.array_equal(shuffled, x)


def test_dropout_keeps_the_mean() -> None:
    dropped = np.asarray(tn.random.dropout(KEY, np.ones(COUNT, np.float32), 0.2))
    assert set(np.unique(dropped)) == {np.float32(0), np.float32(1.25)}
    assert abs(dropped.mean() - 1) < 0.02


def test_derivatives_go_through_scale_and_shift() -> None:
    draws = np.asarray(tn.random.normal(KEY, (9,), tn.f64))
    loss = lambda mean, deviation: tn.sum(mean + deviation * tn.random.normal(KEY, (9,), tn.f64))  # noqa: E731
    by_mean, by_deviation = tn.grad(loss, argnums=(0, 1))(np.float64(1), np.float64(2))
    np.testing.assert_allclose([by_mean, by_deviation], [9, draws.sum()], rtol=1e-12)
    draws = np.asarray(tn.random.uniform(KEY, (9,), tn.f64))
    high = tn.grad(lambda high: tn.sum(tn.random.uniform(KEY, (9,), tn.f64, 0.0, high)))(np.float64(2))
    np.testing.assert_allclose(high, draws.sum(), rtol=1e-12)


def test_gamma_has_no_derivative() -> None:
    with pytest.raises(UnsupportedError, match="no derivative by its parameter"):
        tn.grad(lambda a: tn.random.gamma(KEY, a))(np.float32(2))


def test_no_numbers_are_fine() -> None:
    assert tn.random.normal(KEY, (0, 3)).shape == (0, 3)
    assert tn.random.permutation(KEY, 0).shape == (0,)


def test_what_is_no_key_is_refused() -> None:
    with pytest.raises(DTypeError, match="not u32"):
        tn.random.normal(np.zeros(2, np.float32))
    with pytest.raises(ShapeError, match=r"tn\.vmap for several"):
        tn.random.normal(tn.random.split(KEY, 3))
    with pytest.raises(ArgumentError, match="more than 64 bits"):
        tn.random.key(2**64)


def test_dtypes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(DTypeError, match="gives floats, not i32"):
        tn.random.normal(KEY, (3,), tn.i32)
    with pytest.raises(DTypeError, match="gives integers, not f32"):
        tn.random.randint(KEY, (3,), 0, 5, tn.f32)


def test_parameters_that_do_not_fit_the_shape_are_refused() -> None:
    with pytest.raises(ShapeError, match="do not broadcast"):
        tn.random.bernoulli(KEY, np.full(3, 0.5, np.float32), (2,))
