"""Programs that fold the rows of a matrix, as scheduled, and numbers that are hard to fold."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from loop_programs import function
from numpy.typing import NDArray

from tenfold_rt import dtypes
from tenfoldc import ops
from tenfoldc.fuse import fuse
from tenfoldc.ir.builder import Var
from tenfoldc.ir.types import TensorType
from tenfoldc.loops.ir import For, Program, TransposeTile
from tenfoldc.loops.traversal import walk_statements
from tenfoldc.loops.verifier import verify_program
from tenfoldc.lower import cpu_rules, lower
from tenfoldc.schedule import schedule
from tenfoldc.target import named

X86 = named("x86-64-v3")


def largest(x: Var) -> Var:
    return ops.reduce_max(x, [1])


def least(x: Var) -> Var:
    return ops.reduce_min(x, [1])


def total(x: Var) -> Var:
    return ops.reduce_sum(x, [1])


def places(x: Var) -> Sequence[Var]:
    return ops.argmax(x, 1, dtypes.i64), ops.argmin(x, 1)


def scheduled(
    types: Sequence[TensorType], compute: Callable[..., Var | Sequence[Var]], donated: Sequence[tuple[int, int]] = ()
) -> Program:
    """What becomes of `compute` on x86 with AVX2."""
    source = function(types, compute, donated)
    program = schedule(lower(source, fuse(source), cpu_rules(X86)), X86)
    verify_program(program)
    return program


def loops_of(program: Program) -> list[For]:
    """The loops of all kernels, outer before inner."""
    return [s for kernel in program.kernels for s in walk_statements(kernel.body) if isinstance(s, For)]


def tiles_of(program: Program) -> list[TransposeTile]:
    """The transposed tiles of all kernels."""
    return [s for kernel in program.kernels for s in walk_statements(kernel.body) if isinstance(s, TransposeTile)]


def odd_rows(shape: Sequence[int], dtype: str) -> NDArray[np.generic]:
    """Numbers many of which are equal, with zeros of both signs, infinities and NaN among floats."""
    rng = np.random.default_rng(len(shape) + sum(shape))
    x = rng.integers(0, 4, shape)
    if dtype == "bool":
        return x == 3
    if dtype.startswith(("int", "uint")):
        return (x * 20).astype(dtype)
    odd = np.array([0.0, -0.0, 1.0, -1.0, np.nan, np.inf, -np.inf])
    chance = np.array([3, 3, 1, 1, 0.1, 0.1, 0.1])
    return rng.choice(odd, shape, p=chance / chance.sum()).astype(dtype)
