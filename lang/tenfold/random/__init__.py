"""Random numbers from keys, JAX's for the same keys: `tn.random.normal(tn.random.key(0), (3,))`."""

from tenfold.random.distributions import (
    bernoulli,
    categorical,
    dropout,
    exponential,
    gumbel,
    normal,
    randint,
    truncated_normal,
    uniform,
)
from tenfold.random.gamma import gamma
from tenfold.random.keys import bits, fold_in, key, split
from tenfold.random.orders import permutation

__all__ = [
    "bernoulli",
    "bits",
    "categorical",
    "dropout",
    "exponential",
    "fold_in",
    "gamma",
    "gumbel",
    "key",
    "normal",
    "permutation",
    "randint",
    "split",
    "truncated_normal",
    "uniform",
]
