"""Rows read and written by index, and sorting: memory's latency and branches rather than its bandwidth."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import torch

import tenfold as tn
from benchmarks.cpu.case import Case, Functions, Tree, normal

_THEME = "indexed"
_TABLE, _WIDTH, _MANY = 65536, 16, 1_000_000


def _indices(rng: np.random.Generator) -> Tree:
    return rng.integers(0, _TABLE, _MANY)


CASES = (
    Case(
        _THEME,
        "gather 1M rows",
        lambda rng: (normal(rng, _TABLE, _WIDTH), _indices(rng)),
        Functions(
            tenfold=lambda x, i: x[i],
            torch=lambda x, i: x[i],
            jax=lambda x, i: x[i],
        ),
        bytes=_MANY * (8 + 2 * 4 * _WIDTH),
    ),
    Case(
        _THEME,
        "scatter-add 1M rows",
        lambda rng: (normal(rng, _TABLE, _WIDTH), _indices(rng), normal(rng, _MANY, _WIDTH)),
        Functions(
            tenfold=lambda x, i, y: x.at[i].add(y),
            torch=lambda x, i, y: torch.index_add(x, 0, i, y),
            jax=lambda x, i, y: x.at[i].add(y),
        ),
        bytes=_MANY * (8 + 4 * _WIDTH) + 2 * 4 * _TABLE * _WIDTH,
        tolerance=1e-3,
    ),
    Case(
        _THEME,
        "sort 1M",
        lambda rng: (normal(rng, _MANY),),
        Functions(
            tenfold=lambda x: tn.sort(x, axis=-1),
            torch=lambda x: torch.sort(x).values,
            jax=lambda x: jnp.sort(x),
        ),
    ),
)
