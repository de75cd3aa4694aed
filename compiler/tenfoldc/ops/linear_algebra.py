"""Triangular matrices: `cholesky` and `triangular_solve`, of matrices in the last two axes; all others are batches.

Derivatives are those of I. Murray, "Differentiation of the Cholesky decomposition" (2016), and of M. Giles, "Collected
matrix derivative results for forward and reverse mode algorithmic differentiation" (2008).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from enum import Enum

import numpy as np

from tenfold_rt import dtypes
from tenfold_rt.errors import DTypeError, ShapeError
from tenfold_rt.frozen import frozen
from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ir.core import Attributes, Region
from tenfoldc.ir.op import Array, Kind, Op, RegionFunction, Site
from tenfoldc.ir.types import TensorType
from tenfoldc.ops.comparison import Direction
from tenfoldc.ops.elementwise import FLOATS


class Transpose(Enum):
    """How `triangular_solve` takes its matrix; of real numbers the adjoint is the transpose."""

    NO_TRANSPOSE = "as it is"
    TRANSPOSE = "transposed"
    ADJOINT = "transposed and conjugated"


@frozen
class CholeskyAttributes(Attributes):
    """Which triangle is read, and written."""

    lower: bool = False


@frozen
class TriangularSolveAttributes(Attributes):
    """The side that the matrix stands on, the triangle that is read, and how."""

    left_side: bool
    lower: bool
    unit_diagonal: bool
    transpose_a: Transpose

    @property
    def is_transposed(self) -> bool:
        return self.transpose_a is not Transpose.NO_TRANSPOSE

    @property
    def flipped(self) -> TriangularSolveAttributes:
        """The same with the transposed matrix."""
        other = Transpose.NO_TRANSPOSE if self.is_transposed else Transpose.TRANSPOSE
        return replace(self, transpose_a=other)


def _require_matrices(name: str, role: str, type_: TensorType, *, square: bool) -> None:
    if type_.dtype not in FLOATS:
        raise DTypeError(f"{name}: {role} is {type_}, not of floats", mend="convert it")
    if type_.rank < 2:
        raise ShapeError(f"{name}: {role} is {type_}, which has no two axes")
    if square and type_.shape[-1] != type_.shape[-2]:
        raise ShapeError(f"{name}: {role} is not square: {type_.shape[-2]} rows, {type_.shape[-1]} columns")


# cholesky


def _infer_cholesky(
    operands: Sequence[TensorType], attributes: CholeskyAttributes, regions: Sequence[Region]
) -> tuple[TensorType, ...]:
    (a,) = operands
    _require_matrices("cholesky", "the operand", a, square=True)
    return (a,)


def _cholesky_reference(
    arrays: Sequence[Array], attributes: CholeskyAttributes, regions: Sequence[RegionFunction]
) -> Sequence[Array]:
    (a,) = arrays
    wide = a.astype(np.float64)
    factors = np.zeros_like(wide)
    for place in np.ndindex(a.shape[:-2]):
        matrix = wide[place] if attributes.lower else wide[place].T
        factor = _factor_reference(matrix)
        factors[place] = factor if attributes.lower else factor.T
    return (factors.astype(a.dtype),)


def _factor_reference(matrix: Array) -> Array:
    """The lower factor; NaN where LAPACK finds a pivot that is not positive, or leaves a NaN."""
    try:
        factor = np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        factor = np.full_like(matrix, np.nan)
    return np.tril(np.full_like(matrix, np.nan)) if np.isnan(factor).any() else factor


CHOLESKY = Op(
    "cholesky",
    Kind.LINEAR_ALGEBRA,
    attributes=CholeskyAttributes,
    infer=_infer_cholesky,
    reference=_cholesky_reference,
)


def cholesky(a: Var, *, lower: bool = True) -> Var:
    """The triangular L with a = L L^T, or where not `lower` the U with a = U^T U; zeros beyond the triangle.

    Only that triangle of `a` is read.  Of a matrix that is not positive definite the whole triangle is NaN.
    `ShapeError` for matrices that are not square, `DTypeError` for anything but floats.
    """
    return CHOLESKY.apply_one(a, attributes=CholeskyAttributes(lower))


@CHOLESKY.jvp
def _(site: Site[CholeskyAttributes], tangents: Sequence[Var | None]) -> Sequence[Var | None]:
    """L Phi(L^-1 A' L^-T), A' symmetric (Murray, equation 8)."""
    (tangent,) = tangents
    if tangent is None:
        return (None,)
    lower = site.attributes.lower
    factor, read = _oriented(site.result, lower), _half_triangle(_oriented(tangent, lower))
    symmetric = ops.add(read, matrix_transpose(read))
    inner = triangular_solve(factor, symmetric)
    inner = triangular_solve(factor, inner, left_side=False, transpose_a=Transpose.TRANSPOSE)
    return (_oriented(matrix_product(factor, _half_triangle(inner)), lower),)


@CHOLESKY.vjp
def _(site: Site[CholeskyAttributes], cotangents: Sequence[Var | None]) -> Sequence[Var | None]:
    """L^-T Phi(L^T L') L^-1 (Murray, equation 10), what falls to the triangle that is not read added to the other."""
    (cotangent,) = cotangents
    if cotangent is None:
        return (None,)
    lower = site.attributes.lower
    factor = _oriented(site.result, lower)
    inner = _half_triangle(matrix_product(matrix_transpose(factor), _oriented(cotangent, lower)))
    inner = triangular_solve(factor, inner, transpose_a=Transpose.TRANSPOSE)
    inner = triangular_solve(factor, inner, left_side=False)
    return (_oriented(_half_triangle(ops.add(inner, matrix_transpose(inner))), lower),)


@CHOLESKY.batch
def _(site: Site[CholeskyAttributes], batched: Sequence[bool], size: int) -> tuple[Sequence[Var], Sequence[bool]]:
    return CHOLESKY.apply(*site.operands, attributes=site.attributes), batched


# triangular_solve


def _infer_solve(
    operands: Sequence[TensorType], attributes: TriangularSolveAttributes, regions: Sequence[Region]
) -> tuple[TensorType, ...]:
    a, b = operands
    _require_matrices("triangular_solve", "a", a, square=True)
    _require_matrices("triangular_solve", "b", b, square=False)
    if a.dtype != b.dtype:
        raise DTypeError(f"triangular_solve: dtypes differ, {a.dtype} (a) and {b.dtype} (b)")
    if a.shape[:-2] != b.shape[:-2]:
        raise ShapeError(f"triangular_solve: batches differ, a is {a} and b is {b}", mend="broadcast one of them")
    axis = b.rank - 2 if attributes.left_side else b.rank - 1
    if a.shape[-1] != b.shape[axis]:
        raise ShapeError(f"triangular_solve: sizes differ, {a.shape[-1]} (a) and {b.shape[axis]} (b, axis {axis})")
    return (b,)


def _solve_reference(
    arrays: Sequence[Array], attributes: TriangularSolveAttributes, regions: Sequence[RegionFunction]
) -> Sequence[Array]:
    """Substitution, row by row, in float64."""
    a, b = (array.astype(np.float64) for array in arrays)
    matrix = a.swapaxes(-1, -2) if attributes.is_transposed == attributes.left_side else a
    solution = (b if attributes.left_side else b.swapaxes(-1, -2)).copy()
    lower = attributes.lower != (attributes.is_transposed == attributes.left_side)
    size = a.shape[-1]
    with np.errstate(all="ignore"):
        for row in range(size) if lower else reversed(range(size)):
            known = slice(0, row) if lower else slice(row + 1, size)
            terms = matrix[..., row, None, known] @ solution[..., known, :]
            solution[..., row, :] -= terms[..., 0, :]
            if not attributes.unit_diagonal:
                solution[..., row, :] /= matrix[..., row, row, None]
        solution = solution if attributes.left_side else solution.swapaxes(-1, -2)
        return (solution.astype(arrays[1].dtype),)


TRIANGULAR_SOLVE = Op(
    "triangular_solve",
    Kind.LINEAR_ALGEBRA,
    attributes=TriangularSolveAttributes,
    infer=_infer_solve,
    reference=_solve_reference,
)


def triangular_solve(
    a: Var,
    b: Var,
    *,
    left_side: bool = True,
    lower: bool = True,
    unit_diagonal: bool = False,
    transpose_a: Transpose = Transpose.NO_TRANSPOSE,
) -> Var:
    """The X with op(a) X = b, or X op(a) = b where not `left_side`; op transposes as `transpose_a` says.

    Only the named triangle of `a` is read, and not its diagonal where that is said to be ones.  `ShapeError` where
    `a` is not square or does not fit `b`, `DTypeError` for anything but floats of one dtype.
    """
    attributes = TriangularSolveAttributes(left_side, lower, unit_diagonal, transpose_a)
    return TRIANGULAR_SOLVE.apply_one(a, b, attributes=attributes)


@TRIANGULAR_SOLVE.jvp
def _(site: Site[TriangularSolveAttributes], tangents: Sequence[Var | None]) -> Sequence[Var | None]:
    """Of M X = B: M^-1 (B' - M' X) (Giles, section 2.2.4)."""
    attributes = site.attributes
    a_tangent, change = tangents
    if a_tangent is not None:
        matrix = _taken(_read_triangle(a_tangent, attributes), attributes)
        pair = (matrix, site.result) if attributes.left_side else (site.result, matrix)
        product = matrix_product(*pair)
        change = ops.negate(product) if change is None else ops.subtract(change, product)
    if change is None:
        return (None,)
    return TRIANGULAR_SOLVE.apply(site.operands[0], change, attributes=attributes)


@TRIANGULAR_SOLVE.vjp
def _(site: Site[TriangularSolveAttributes], cotangents: Sequence[Var | None]) -> Sequence[Var | None]:
    """Of M X = B: B' = M^-T X' and M' = -B' X^T (Giles, section 2.2.4)."""
    (cotangent,) = cotangents
    if cotangent is None:
        return (None, None)
    attributes = site.attributes
    of_b = TRIANGULAR_SOLVE.apply_one(site.operands[0], cotangent, attributes=attributes.flipped)
    solution = site.result
    if attributes.left_side:
        product = matrix_product(of_b, matrix_transpose(solution))
    else:
        product = matrix_product(matrix_transpose(solution), of_b)
    of_a = _read_triangle(_taken(ops.negate(product), attributes), attributes)
    return of_a, of_b


@TRIANGULAR_SOLVE.batch
def _(
    site: Site[TriangularSolveAttributes], batched: Sequence[bool], size: int
) -> tuple[Sequence[Var], Sequence[bool]]:
    a, b = site.operands
    if batched[0]:
        if not batched[1]:
            b = ops.broadcast_in_dim(b, (size, *b.shape), range(1, b.rank + 1))
        return TRIANGULAR_SOLVE.apply(a, b, attributes=site.attributes), (True,)
    # One matrix for the whole batch, which becomes more columns, or rows, of b.
    place = b.rank - 2 if site.attributes.left_side else b.rank - 3
    order = [*range(1, place + 1), 0, *range(place + 1, b.rank)]
    moved = ops.transpose(b, order)
    merged = (*moved.shape[:place], size * b.sizes[place + 1], *moved.shape[place + 2 :])
    solution = TRIANGULAR_SOLVE.apply_one(a, ops.reshape(moved, merged), attributes=site.attributes)
    return (ops.transpose(ops.reshape(solution, moved.shape), ops.inverse_permutation(order)),), (True,)


# Matrices in the last two axes


def matrix_transpose(x: Var) -> Var:
    """The last two axes exchanged."""
    return ops.transpose(x, (*range(x.rank - 2), x.rank - 1, x.rank - 2))


def matrix_product(x: Var, y: Var) -> Var:
    """The products of matrices, batch by batch."""
    batches = range(x.rank - 2)
    return ops.dot_general(
        x, y, lhs_contracting=(x.rank - 1,), rhs_contracting=(x.rank - 2,), lhs_batching=batches, rhs_batching=batches
    )


def triangle(x: Var, *, lower: bool, strict: bool = False) -> Var:
    """One triangle of each matrix, zeros beyond; its diagonal too where `strict`."""
    directions = {(True, False): Direction.GE, (True, True): Direction.GT}
    directions |= {(False, False): Direction.LE, (False, True): Direction.LT}
    return _where(x, directions[lower, strict], x, ops.zeros_like(x))


def _where(x: Var, direction: Direction, then: Var, otherwise: Var) -> Var:
    """One tensor where row and column of the matrices in `x` compare so, else another."""
    type_ = x.type.with_dtype(dtypes.i32)
    row, column = (ops.iota(x.builder, type_, axis) for axis in (x.rank - 2, x.rank - 1))
    return ops.select(ops.compare(row, column, direction), then, otherwise)


def _half_triangle(x: Var) -> Var:
    """Murray's Phi: the lower triangle with its diagonal halved."""
    halved = ops.multiply(x, ops.full_like(x, 0.5))
    return _where(x, Direction.GT, x, _where(x, Direction.EQ, halved, ops.zeros_like(x)))


def _oriented(x: Var, lower: bool) -> Var:
    """`x`, or its transpose where the upper triangle is meant."""
    return x if lower else matrix_transpose(x)


def _read_triangle(x: Var, attributes: TriangularSolveAttributes) -> Var:
    return triangle(x, lower=attributes.lower, strict=attributes.unit_diagonal)


def _taken(x: Var, attributes: TriangularSolveAttributes) -> Var:
    """op(x)."""
    return matrix_transpose(x) if attributes.is_transposed else x
