"""`lu`: a square matrix as a permutation of a lower times an upper triangle, by elimination with partial pivoting.

Matrices are the last two axes, all others are batches.  The derivative is S. Walter's and L. Lehmann's, "Algorithmic
differentiation of linear algebra functions" (2010), section 4.2: of P A = L U, with F = L^-1 P A' U^-1, L' is L times
what F has below its diagonal, and U' the rest of F times U.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tenfold_rt import dtypes
from tenfold_rt.errors import DTypeError, ShapeError
from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ir.core import Attributes, Region
from tenfoldc.ir.op import Array, Kind, Op, RegionFunction, Site
from tenfoldc.ir.types import TensorType
from tenfoldc.ops.elementwise import FLOATS
from tenfoldc.ops.linear_algebra import Transpose, matrix_product, matrix_transpose, triangle, triangular_solve


def _infer(operands: Sequence[TensorType], _: Attributes, regions: Sequence[Region]) -> tuple[TensorType, ...]:
    (a,) = operands
    if a.dtype not in FLOATS:
        raise DTypeError(f"lu: the operand is {a}, not of floats", mend="convert it")
    if a.rank < 2:
        raise ShapeError(f"lu: the operand is {a}, which has no two axes")
    if a.shape[-1] != a.shape[-2]:
        raise ShapeError(f"lu: the operand is not square: {a.shape[-2]} rows, {a.shape[-1]} columns")
    rows = a.with_shape(a.shape[:-1]).with_dtype(dtypes.i32)
    return a, rows, rows


def _reference(arrays: Sequence[Array], _: Attributes, regions: Sequence[RegionFunction]) -> Sequence[Array]:
    (a,) = arrays
    factors = a.astype(np.float64)
    pivots = np.zeros(a.shape[:-1], np.int32)
    permutations = np.broadcast_to(np.arange(a.shape[-1], dtype=np.int32), a.shape[:-1]).copy()
    with np.errstate(all="ignore"):
        for place in np.ndindex(a.shape[:-2]):
            _factor(factors[place], pivots[place], permutations[place])
        return factors.astype(a.dtype), pivots, permutations


def _factor(matrix: Array, pivots: Array, permutation: Array) -> None:
    """Eliminate column after column in place.  A NaN is chosen only where there is nothing else."""
    for column in range(matrix.shape[0]):
        sizes = np.abs(matrix[column:, column])
        best = column + int(np.argmax(np.where(np.isnan(sizes), -1, sizes)))
        pivots[column] = best
        matrix[[column, best]] = matrix[[best, column]]
        permutation[[column, best]] = permutation[[best, column]]
        pivot = matrix[column, column]
        matrix[column + 1 :, column] /= pivot if pivot != 0 else 1
        rest = matrix[column + 1 :, column + 1 :]
        rest -= matrix[column + 1 :, column, None] * matrix[column, column + 1 :]


LU = Op("tenfold.lu", Kind.LINEAR_ALGEBRA, infer=_infer, reference=_reference)


def lu(a: Var) -> tuple[Var, Var, Var]:
    """The L and U with L U = P a as one matrix, L's diagonal of ones left out; the pivots; the permutation.

    Row i was exchanged with row pivots[i] >= i, for i = 0, 1, ..., as the largest in its column; row i of P a is
    row permutation[i] of a.  Both are i32.  A singular matrix has a zero on U's diagonal, and L's elements below are 0.
    `ShapeError` for matrices that are not square, `DTypeError` for anything but floats.
    """
    factors, pivots, permutation = LU.apply(a)
    return factors, pivots, permutation


def permuted_rows(x: Var, permutation: Var) -> Var:
    """The rows of matrices in the order of `permutation`, one for each matrix."""
    wide = ops.broadcast_in_dim(permutation, x.sizes, range(permutation.rank))
    return ops.take_along_axis(x, wide, x.rank - 2)


@LU.jvp
def _(site: Site[Attributes], tangents: Sequence[Var | None]) -> Sequence[Var | None]:
    (tangent,) = tangents
    if tangent is None:
        return None, None, None
    factors, _, permutation = site.results
    inner = triangular_solve(factors, permuted_rows(tangent, permutation), unit_diagonal=True)
    inner = triangular_solve(factors, inner, left_side=False, lower=False)
    of_lower = matrix_product(_unit_lower(factors), triangle(inner, lower=True, strict=True))
    of_upper = matrix_product(triangle(inner, lower=False), triangle(factors, lower=False))
    return ops.add(of_lower, of_upper), None, None


@LU.vjp
def _(site: Site[Attributes], cotangents: Sequence[Var | None]) -> Sequence[Var | None]:
    """Of F = L^-1 P A' U^-1: F's cotangent is what L^T L' has below the diagonal and what U' U^T has elsewhere."""
    cotangent = cotangents[0]
    if cotangent is None:
        return (None,)
    factors, _, permutation = site.results
    of_lower = matrix_product(matrix_transpose(_unit_lower(factors)), triangle(cotangent, lower=True, strict=True))
    upper = triangle(factors, lower=False)
    of_upper = matrix_product(triangle(cotangent, lower=False), matrix_transpose(upper))
    inner = ops.add(triangle(of_lower, lower=True, strict=True), triangle(of_upper, lower=False))
    inner = triangular_solve(factors, inner, unit_diagonal=True, transpose_a=Transpose.TRANSPOSE)
    inner = triangular_solve(factors, inner, left_side=False, lower=False, transpose_a=Transpose.TRANSPOSE)
    wide = ops.broadcast_in_dim(permutation, inner.sizes, range(permutation.rank))
    return (ops.put_along_axis(ops.zeros_like(inner), wide, inner, inner.rank - 2, unique_indices=True),)


@LU.batch
def _(site: Site[Attributes], batched: Sequence[bool], size: int) -> tuple[Sequence[Var], Sequence[bool]]:
    return LU.apply(*site.operands), (True, True, True)


def _unit_lower(factors: Var) -> Var:
    """L, its diagonal of ones put in."""
    zeros = ops.zeros_like(factors)
    identity = ops.subtract(
        triangle(ops.ones_like(zeros), lower=True), triangle(ops.ones_like(zeros), lower=True, strict=True)
    )
    return ops.add(triangle(factors, lower=True, strict=True), identity)
