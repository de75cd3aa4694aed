"""Programs that several ways of compiling are tested on: random ones, and ones whose results replace parameters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from compiled import Array, Build, close
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as hypothesis_seed
from strategies import programs

from tenfold_rt import dtypes
from tenfoldc import ops
from tenfoldc.ir.builder import Var, build_region
from tenfoldc.ir.core import Module
from tenfoldc.ops import Direction

Program = tuple[Module, tuple[Array, ...]]

TOLERANCE = close(f32=2e-4, f64=1e-10)
"""Errors grow over chains of up to 20 operations."""


def drawn(count: int, seed: int, *, largest: int, steps: int) -> list[Program]:
    """Random programs; the same for the same seed.  There is no shrinking: that would compile anew each time."""
    found: list[Program] = []

    @hypothesis_seed(seed)
    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(programs(max_operations=largest, min_steps=steps))
    def collect(program: Program) -> None:
        found.append(program)

    collect()
    return found


def numbers(rng: np.random.Generator, *shape: int) -> Array:
    """Quarters: their sums and small products are exact."""
    return (rng.integers(-8, 9, shape) / 4).astype(np.float32)


def transposed(x: Var) -> Var:
    return ops.transpose(x, (1, 0))


def matmul(x: Var, y: Var) -> Var:
    return ops.dot_general(x, y, lhs_contracting=(1,), rhs_contracting=(0,))


# Donated parameters: each result is computed from what it overwrites

SQUARE, FIRST = (19, 19), ((0, 0),)
INTO_FIRST: dict[str, Build] = {
    "reversed": lambda w: ops.reverse(w, (0,)),
    "reversed and added": lambda w: ops.add(w, ops.reverse(w, (0, 1))),
    "transposed": transposed,
    "product with itself": lambda w: matmul(transposed(w), w),
    "shifted": lambda w: ops.concatenate([ops.slice_(w, (1, 0), (19, 19)), ops.slice_(w, (0, 0), (1, 19))], 0),
    "running sum": lambda w: ops.cumulative_sum(w, 0, True),
    "sorted": lambda w: ops.sort_values(w, 0),
    "sum of a column": lambda w: ops.add(w, ops.broadcast_in_dim(ops.reduce_sum(w, (0,)), w.shape, (1,))),
    "sum of a row": lambda w: ops.add(w, ops.broadcast_in_dim(ops.reduce_sum(w, (1,)), w.shape, (0,))),
    "rows before and after": lambda w: (ops.negate(w), ops.reduce_sum(w, (1,)), transposed(w)),
    "moved block": lambda w: ops.dynamic_update_slice(w, ops.slice_(w, (0, 0), (9, 19)), [index(w, 4), index(w, 0)]),
    "block and parameter": lambda w: (
        ops.dynamic_update_slice(w, ops.slice_(w, (0, 0), (1, 19)), [index(w, 2)] * 2),
        w,
    ),
    "itself": lambda w: w,
    "itself twice": lambda w: (w, w),
    "loop": lambda w: (*repeated(w), ops.reduce_sum(w, (0,))),
}


def index(like: Var, value: int) -> Var:
    return ops.constant(like.builder, value, dtypes.i32)


def repeated(w: Var) -> Sequence[Var]:
    """Three turns, each of which reads all of what it replaces."""
    carry = [index(w, 0).type, w.type]

    def condition(turn: Var, _: Var) -> Sequence[Var]:
        return (ops.compare(turn, ops.full_like(turn, 3), Direction.LT),)

    def body(turn: Var, x: Var) -> Sequence[Var]:
        return ops.add(turn, ops.ones_like(turn)), ops.add(ops.reverse(x, (0,)), ops.ones_like(x))

    regions = [build_region(carry, part, like=w.builder) for part in (condition, body)]
    return ops.while_((index(w, 0), w), *regions)[1:]
