"""Cases of Cholesky factors, of L and U, and of triangular systems: every form, sizes for each way to lower them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np
from compiled import Array, Build, Case, case, close
from op_cases import shows

from tenfold_rt import dtypes
from tenfold_rt.dtypes import DType
from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ops import Transpose

WELL_CONDITIONED = close(f32=3e-5, f64=1e-12)
FLOATS = (dtypes.f32, dtypes.f64)
SIZES = (0, 1, 2, 3, 4, 5, 8, 9, 16, 17, 33, 50, 130)


def positive_definite(rng: np.random.Generator, dtype: DType, *shape: int) -> Array:
    x = rng.standard_normal(shape)
    return np.asarray(x @ x.swapaxes(-1, -2) + shape[-1] * np.eye(shape[-1]), dtype.numpy)


@shows(ops.CHOLESKY)
def _cholesky(rng: np.random.Generator) -> Iterator[Case]:
    for dtype, size, lower in itertools.product(FLOATS, SIZES, (True, False)):
        a = positive_definite(rng, dtype, size, size)
        # The other triangle is not read.
        a = np.where(np.tri(size, dtype=bool) if lower else np.tri(size, dtype=bool).T, a, np.nan).astype(dtype.numpy)
        yield case(f"{dtype} {size} {lower}", factored(lower), a, compare=WELL_CONDITIONED)
        if size:
            a = a.copy()
            a[size // 2, size // 2] = rng.choice([0.0, -1.0, np.nan])
            yield case(f"not definite {dtype} {size} {lower}", factored(lower), a, compare=WELL_CONDITIONED)
    for dtype, lower, shape in itertools.product(FLOATS, (True, False), ((3, 2, 19, 19), (2, 3, 3), (0, 7, 7))):
        a = positive_definite(rng, dtype, *shape)
        yield case(f"batch {dtype} {lower} {shape}", factored(lower), a, compare=WELL_CONDITIONED)
    a = positive_definite(rng, dtypes.f32, 21, 21)
    yield case("with neighbours", _with_neighbours, a, compare=WELL_CONDITIONED)


def factored(lower: bool) -> Build:
    return lambda a: ops.cholesky(a, lower=lower)


def _with_neighbours(a: Var) -> Var:
    return ops.negate(ops.cholesky(ops.add(a, a)))


@shows(ops.TRIANGULAR_SOLVE)
def _triangular_solve(rng: np.random.Generator) -> Iterator[Case]:
    forms = itertools.product((True, False), (True, False), (True, False), Transpose)
    sizes = ((1, 1), (3, 5), (4, 2), (0, 3), (5, 0), (7, 1), (9, 2), (10, 3), (18, 16), (35, 37))
    for (left_side, lower, unit, transpose), (size, vectors) in itertools.product(forms, sizes):
        dtype = FLOATS[rng.integers(2)]
        label = f"{dtype} {size} {vectors} {left_side} {lower} {unit} {transpose.name}"
        build = solved(left_side, lower, unit, transpose)
        yield case(label, build, *system(rng, dtype, (2,), size, vectors, left_side), compare=WELL_CONDITIONED)
    for batch in ((), (0,), (3, 2)):
        arrays = system(rng, dtypes.f32, batch, 65, 70, True)
        yield case(f"batch {batch}", ops.triangular_solve, *arrays, compare=WELL_CONDITIONED)


def system(
    rng: np.random.Generator, dtype: DType, batch: tuple[int, ...], size: int, vectors: int, left_side: bool
) -> tuple[Array, Array]:
    a = rng.standard_normal((*batch, size, size)) / max(size, 1) + 2 * np.eye(size)
    b = rng.standard_normal((*batch, *((size, vectors) if left_side else (vectors, size))))
    return a.astype(dtype.numpy), b.astype(dtype.numpy)


def solved(left_side: bool, lower: bool, unit_diagonal: bool, transpose: Transpose) -> Build:
    return lambda a, b: ops.triangular_solve(
        a, b, left_side=left_side, lower=lower, unit_diagonal=unit_diagonal, transpose_a=transpose
    )


@shows(ops.LU)
def _lu(rng: np.random.Generator) -> Iterator[Case]:
    for dtype, size in itertools.product(FLOATS, SIZES):
        a = with_clear_pivots(rng, size).astype(dtype.numpy)
        yield case(f"{dtype} {size}", ops.lu, a, compare=WELL_CONDITIONED)
    for dtype, shape in itertools.product(FLOATS, ((3, 2, 19, 19), (9, 3, 3), (0, 7, 7))):
        a = np.stack(
            [with_clear_pivots(rng, shape[-1]) for _ in range(math.prod(shape[:-2]))] or [np.zeros(shape[-2:])]
        )
        a = a[: math.prod(shape[:-2])].reshape(shape).astype(dtype.numpy)
        yield case(f"batch {dtype} {shape}", ops.lu, a, compare=WELL_CONDITIONED)
    for size in (3, 6, 40):
        singular = np.diag(np.arange(size) % 3).astype(np.float64)
        yield case(f"singular {size}", ops.lu, singular)
        yield case(f"zero {size}", ops.lu, np.zeros((size, size)))
        yield case(f"ties {size}", ops.lu, np.eye(size)[::-1] - np.eye(size, k=1))
    for size in (3, 21):
        a = with_clear_pivots(rng, size)
        a[tuple(rng.integers(size, size=2))] = np.nan
        yield case(f"undefined {size}", ops.lu, a, compare=WELL_CONDITIONED)
    yield case("with neighbours", _lu_with_neighbours, with_clear_pivots(rng, 21), compare=WELL_CONDITIONED)


def with_clear_pivots(rng: np.random.Generator, size: int) -> Array:
    """A matrix in whose columns the largest element is at least twice the next, however it is rounded."""
    lower = np.tril(rng.uniform(-0.5, 0.5, (size, size)), -1) / max(1, size) ** 0.5 + np.eye(size)
    upper = np.triu(rng.standard_normal((size, size)), 1) / max(1, size) + np.diag(rng.uniform(1, 2, size))
    return (lower @ upper)[rng.permutation(size)]


def _lu_with_neighbours(a: Var) -> tuple[Var, Var, Var]:
    factors, pivots, permutation = ops.lu(ops.add(a, a))
    return ops.negate(factors), ops.negate(pivots), ops.negate(permutation)
