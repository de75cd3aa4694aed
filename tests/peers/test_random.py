"""Random numbers agree with JAX's for other keys and sizes than those written down."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tenfold as tn

jax = pytest.importorskip("jax", reason="needs the peers extra: JAX")

SEEDS = (0, 1, 2**31 - 1)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", ["bits", "uniform"])
def test_bits_agree_with_jax(name: str, seed: int) -> None:
    ours = getattr(tn.random, name)(tn.random.key(seed), (1000,))
    np.testing.assert_array_equal(ours, getattr(jax.random, name)(jax.random.PRNGKey(seed), (1000,)))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", ["normal", "exponential", "gumbel"])
def test_distributions_agree_with_jax(name: str, seed: int) -> None:
    ours = getattr(tn.random, name)(tn.random.key(seed), (1000,))
    theirs = getattr(jax.random, name)(jax.random.PRNGKey(seed), (1000,))
    np.testing.assert_allclose(ours, theirs, rtol=4e-6, atol=1e-6)


@pytest.mark.parametrize("seed", SEEDS)
def test_orders_and_integers_agree_with_jax(seed: int) -> None:
    def draw(random: Any, key: Any) -> list[Any]:
        one, other = random.split(key)
        return [random.permutation(one, 3000), random.randint(other, (100,), -7, 1000), random.fold_in(key, seed)]

    pairs = zip(draw(tn.random, tn.random.key(seed)), draw(jax.random, jax.random.PRNGKey(seed)), strict=True)
    for ours, theirs in pairs:
        np.testing.assert_array_equal(ours, theirs)


def test_gamma_agrees_with_jax() -> None:
    ours = tn.random.gamma(tn.random.key(3), np.float32(0.7), (200,))
    theirs = jax.random.gamma(jax.random.PRNGKey(3), np.float32(0.7), (200,))
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)
