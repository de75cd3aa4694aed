"""Factors and triangular systems: a block each, its threads sharing the work of every column."""

from __future__ import annotations

import numpy as np
import pytest
from compiled import Array, Case, case, close
from simulated import check, launches, plan_of

from tenfoldc.ir.builder import Var
from tenfoldc.ops.linear_algebra import Transpose, cholesky, triangular_solve
from tenfoldc.ops.lu import lu

NEAR = close(f32=2e-4, f64=1e-11)


def _definite(rng: np.random.Generator, *shape: int) -> Array:
    x = rng.standard_normal(shape)
    return x @ np.swapaxes(x, -1, -2) + shape[-1] * np.eye(shape[-1])


@pytest.mark.parametrize("lower", [False, True])
@pytest.mark.parametrize("shape", [(4, 4), (5, 5), (3, 2, 19, 19), (1, 40, 40), (0, 7, 7)])
def test_factors_of_any_size(shape: tuple[int, ...], lower: bool, rng: np.random.Generator) -> None:
    x = _definite(rng, *shape)
    cases = [
        case(str(dtype), lambda a: cholesky(a, lower=lower), x.astype(dtype), compare=NEAR) for dtype in ("f4", "f8")
    ]
    check(cases)


def test_a_factor_that_shared_memory_does_not_hold_is_kept_in_memory(rng: np.random.Generator) -> None:
    x = _definite(rng, 79, 79)
    check([case("large", lambda a: cholesky(a, lower=True), x, compare=NEAR)], schedules=[1])


def test_a_matrix_that_is_not_definite_has_no_factor() -> None:
    x = np.stack([np.eye(9), np.diag([1.0, 1, 1, -1, 1, 1, 1, 1, 1])])
    check([case("indefinite", lambda a: cholesky(a, lower=True), x)])


def _system(rng: np.random.Generator, *, size: int, vectors: int, left: bool, lower: bool, transposed: bool) -> Case:
    triangle = rng.standard_normal((2, size, size)) + size * np.eye(size)
    vectors_shape = (2, size, vectors) if left else (2, vectors, size)

    transpose = Transpose.TRANSPOSE if transposed else Transpose.NO_TRANSPOSE

    def solve(a: Var, b: Var) -> Var:
        return triangular_solve(a, b, left_side=left, lower=lower, transpose_a=transpose)

    return case(f"{left} {lower} {transposed}", solve, triangle, rng.standard_normal(vectors_shape), compare=NEAR)


@pytest.mark.parametrize(("size", "vectors"), [(3, 5), (6, 1), (17, 3), (9, 37)])
def test_systems_of_all_forms(size: int, vectors: int, rng: np.random.Generator) -> None:
    forms = [(left, lower, transposed) for left in (0, 1) for lower in (0, 1) for transposed in (0, 1)]
    cases = [
        _system(rng, size=size, vectors=vectors, left=bool(left), lower=bool(lower), transposed=bool(transposed))
        for left, lower, transposed in forms
    ]
    check(cases, schedules=[1])


def test_a_batch_has_blocks_for_every_matrix_and_every_few_vectors(rng: np.random.Generator) -> None:
    x = np.zeros((6, 50, 50), np.float32)
    factor = plan_of([case("factor", lambda a: cholesky(a, lower=True), x).module])
    assert [(launch.grid, launch.threads) for launch in launches(factor)] == [(6, 64)]
    system = _system(rng, size=50, vectors=64, left=True, lower=True, transposed=False)
    assert [(launch.grid, launch.threads) for launch in launches(plan_of([system.module]))] == [(32, 256)]


def _square(rng: np.random.Generator, *shape: int) -> Array:
    """Matrices whose rows are exchanged, on whose way no two candidates for a pivot are nearly equal."""
    return rng.standard_normal(shape)


@pytest.mark.parametrize("shape", [(1, 1), (4, 4), (5, 5), (3, 2, 19, 19), (1, 40, 40), (0, 7, 7)])
def test_rows_are_exchanged_for_the_largest_pivot(shape: tuple[int, ...], rng: np.random.Generator) -> None:
    x = _square(rng, *shape)
    check([case(str(dtype), lu, x.astype(dtype), compare=NEAR) for dtype in ("f4", "f8")])


def test_a_matrix_that_shared_memory_does_not_hold_is_eliminated_in_memory(rng: np.random.Generator) -> None:
    check([case("large", lu, _square(rng, 79, 79), compare=NEAR)], schedules=[1])


def test_a_singular_matrix_has_a_zero_on_the_diagonal() -> None:
    check([case("singular", lu, np.diag([1.0, 2, 0, 3, 4, 0, 5])), case("zero", lu, np.zeros((6, 6)))])
