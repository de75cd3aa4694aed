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
from tenfold.random.generator import (
    fork_rng,
    get_rng_state,
    initial_seed,
    manual_seed,
    seed,
    set_rng_state,
)
from tenfold.random.keys import bits, fold_in, key, split
from tenfold.random.orders import permutation
from tenfold.random.poisson import poisson

__all__ = [
    "bernoulli",
    "bits",
    "categorical",
    "dropout",
    "exponential",
    "fold_in",
    "fork_rng",
    "gamma",
    "get_rng_state",
    "gumbel",
    "initial_seed",
    "key",
    "manual_seed",
    "normal",
    "permutation",
    "poisson",
    "randint",
    "seed",
    "set_rng_state",
    "split",
    "truncated_normal",
    "uniform",
]
