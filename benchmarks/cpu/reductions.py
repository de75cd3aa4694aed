"""Sums over outer, inner and middle axes, the largest element's index, running sums, pooling's kin."""

from __future__ import annotations

import jax.numpy as jnp
import torch

import tenfold as tn
from benchmarks.cpu.case import Case, Functions, normal

_THEME = "reductions"
_SIDE = 4096
_EDGE = 64


def _sum(name: str, shape: tuple[int, ...], axes: tuple[int, ...]) -> Case:
    size = 4
    for extent in shape:
        size *= extent
    return Case(
        _THEME,
        name,
        lambda rng: (normal(rng, *shape),),
        Functions(
            tenfold=lambda x: tn.sum(x, dim=axes),
            torch=lambda x: torch.sum(x, dim=axes),
            jax=lambda x: jnp.sum(x, axis=axes),
        ),
        bytes=size,
    )


CASES = (
    _sum("sum 4096^2 over rows", (_SIDE, _SIDE), (0,)),
    _sum("sum 4096^2 over columns", (_SIDE, _SIDE), (1,)),
    _sum("sum 4096^2 over all", (_SIDE, _SIDE), (0, 1)),
    _sum("sum 64^4 over middle axes", (_EDGE,) * 4, (1, 2)),
    Case(
        _THEME,
        "argmax 4096x1024",
        lambda rng: (normal(rng, _SIDE, 1024),),
        Functions(
            tenfold=lambda x: tn.argmax(x, dim=-1),
            torch=lambda x: torch.argmax(x, dim=-1),
            jax=lambda x: jnp.argmax(x, axis=-1),
        ),
        bytes=4 * _SIDE * 1024,
    ),
    Case(
        _THEME,
        "cumsum 4096x1024",
        lambda rng: (normal(rng, _SIDE, 1024),),
        Functions(
            tenfold=lambda x: tn.cumsum(x, dim=-1),
            torch=lambda x: torch.cumsum(x, dim=-1),
            jax=lambda x: jnp.cumsum(x, axis=-1),
        ),
        bytes=2 * 4 * _SIDE * 1024,
    ),
    Case(
        _THEME,
        "cumsum 1024x4096 over rows",
        lambda rng: (normal(rng, 1024, _SIDE),),
        Functions(
            tenfold=lambda x: tn.cumsum(x, dim=0),
            torch=lambda x: torch.cumsum(x, dim=0),
            jax=lambda x: jnp.cumsum(x, axis=0),
        ),
        bytes=2 * 4 * _SIDE * 1024,
    ),
)
