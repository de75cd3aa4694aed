"""Random numbers are JAX's: what `jax.random` 0.10 gives for the key of seed 7, written down."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tenfold as tn

KEY = np.array([0, 7], np.uint32)

BITS: dict[str, tuple[Callable[[], Any], Any]] = {
    "key": (lambda: tn.random.key(2**40 + 5), [256, 5]),
    "split": (
        lambda: tn.random.split(KEY, 3),
        [[3625411723, 1954958720], [195045567, 4062205631], [966301609, 1948237315]],
    ),
    "fold_in": (lambda: tn.random.fold_in(KEY, 5), [3583082021, 1947592014]),
    "bits": (
        lambda: tn.random.bits(KEY, (2, 3)),
        [[2895194379, 4185947648, 1300703658], [1906787632, 3139134342, 2709822315]],
    ),
    "bits u64": (lambda: tn.random.bits(KEY, 2, tn.u64), [15571024786774969728, 837714335556982463]),
    "uniform": (
        lambda: tn.random.uniform(KEY, (5,)),
        np.array([0.67408991, 0.97461689, 0.30284357, 0.44395852, 0.73088656], np.float32),
    ),
    "uniform f16": (lambda: tn.random.uniform(KEY, 4, tn.f16), [0.16015625, 0.4921875, 0.162109375, 0.26953125]),
    "uniform bf16": (lambda: tn.to(tn.random.uniform(KEY, 4, tn.bf16), tn.f32), [0.0390625, 0.0, 0.6640625, 0.1875]),
    "uniform f64": (
        lambda: tn.random.uniform(KEY, 3, tn.f64),
        [0.8441069450823528, 0.04541258512665647, 0.22498462569285382],
    ),
    "bernoulli": (lambda: tn.random.bernoulli(KEY, 0.3, (10,)), [False] * 8 + [True] * 2),
    "categorical": (
        lambda: tn.random.categorical(KEY, np.array([0, 1, 2, 1], np.float32), shape=10),
        [1, 2, 3, 2, 3, 0, 2, 2, 3, 2],
    ),
    "randint": (lambda: tn.random.randint(KEY, 8, -5, 100), [44, 12, 85, 17, 52, 36, 59, 69]),
    "randint u8": (lambda: tn.random.randint(KEY, 8, 0, 256, tn.u8), [31, 102, 124, 237, 222, 102, 108, 146]),
    "randint i64": (
        lambda: tn.random.randint(KEY, 4, -5, 10**12, tn.i64),
        [565845745543, 705584691829, 908909636125, 935016376258],
    ),
    "poisson": (
        lambda: tn.random.poisson(KEY, np.array([0.5, 3, 9.9, 10, 20, 100, 1e4], np.float32)),
        [2, 1, 9, 16, 19, 101, 10095],
    ),
    "permutation": (lambda: tn.random.permutation(KEY, 10), [9, 4, 2, 3, 5, 0, 7, 6, 1, 8]),
}

ROUNDED: dict[str, tuple[Callable[[], Any], list[float]]] = {
    "normal": (
        lambda: tn.random.normal(KEY, 5),
        [0.4512351453304291, 1.9534509181976318, -0.5162394642829895, -0.14094029366970062, 0.6154966950416565],
    ),
    "normal f64": (
        lambda: tn.random.normal(KEY, 3, tn.f64),
        [1.0114813355590866, -1.6910609087906374, -0.7554662899926428],
    ),
    "truncated_normal": (
        lambda: tn.random.truncated_normal(KEY, -1.0, 2.0, 4),
        [0.5547337532043457, 1.711128830909729, -0.23639945685863495, 0.055367838591337204],
    ),
    "exponential": (
        lambda: tn.random.exponential(KEY, 4),
        [1.121133804321289, 3.673671007156372, 0.36074545979499817, 0.5869123935699463],
    ),
    "gumbel": (
        lambda: tn.random.gumbel(KEY, 4),
        [0.9304105043411255, 3.6608431339263916, -0.17776018381118774, 0.20822525024414062],
    ),
    "gamma": (
        lambda: tn.random.gamma(KEY, np.array([0.3, 1.0, 2.5], np.float32)),
        [5.715880888601532e-07, 0.2179168313741684, 1.315557837486267],
    ),
}


@pytest.mark.parametrize("name", BITS)
def test_the_same_bits(name: str) -> None:
    draw, expected = BITS[name]
    np.testing.assert_array_equal(draw(), np.asarray(expected))


@pytest.mark.parametrize("name", ROUNDED)
def test_the_same_to_a_few_roundings(name: str) -> None:
    draw, expected = ROUNDED[name]
    np.testing.assert_allclose(draw(), expected, rtol=1e-12 if "f64" in name else 4e-6)
