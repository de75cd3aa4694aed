"""Factors of matrices and systems of equations; matrices are the last two axes, all others are batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tenfold.eager import tensor_function
from tenfold.functions.axes import broadcast_shape, expand_to, reshape_to
from tenfold.functions.creation import counted
from tenfold.promotion import convert, promoted_floating
from tenfold.tracing import TensorLike, here, wrap
from tenfold_rt import dtypes
from tenfold_rt.errors import ArgumentError, ShapeError
from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ops import Direction, Transpose

if TYPE_CHECKING:
    from tenfold.tensor import Tensor

__all__ = [
    "cholesky",
    "cholesky_solve",
    "solve_triangular",
]

POSITIVE = "pos"


def _require_square(name: str, x: Var) -> None:
    if x.rank < 2 or x.sizes[-1] != x.sizes[-2]:
        raise ShapeError(f"{name}: {x.type} holds no square matrices", where=here())


def _require_positive(name: str, assume: str | None) -> None:
    if assume != POSITIVE:
        raise ArgumentError(
            f"{name}: only symmetric positive definite matrices are taken",
            where=here(),
            mend=f'say assume="{POSITIVE}" where they are',
        )


def _factor(name: str, a: Var) -> Var:
    """The lower factor of the symmetric part."""
    _require_square(name, a)
    symmetric = ops.multiply(ops.add(a, ops.matrix_transpose(a)), ops.full_like(a, 0.5))
    return ops.cholesky(symmetric)


def _fitted(name: str, a: Var, b: Var) -> tuple[Var, Var]:
    """Both with the batches that they have together."""
    batch = broadcast_shape(name, a.sizes[:-2], b.sizes[:-2])
    return expand_to(a, (*batch, *a.sizes[-2:])), expand_to(b, (*batch, *b.sizes[-2:]))


def _require_fitting(name: str, a: Var, b: Var, axis: int) -> None:
    if b.rank < 2 or b.sizes[axis] != a.sizes[-1]:
        raise ShapeError(f"{name}: a matrix of {a.type} does not fit {b.type}", where=here())


@tensor_function
def cholesky(input: TensorLike, upper: bool = False) -> Tensor:
    """The lower triangular L with x = L L^T, or where `upper` the U with x = U^T U.

    Of `input` the symmetric part is taken; where that is not positive definite the factor is NaN.
    """
    (a,) = promoted_floating(input)
    factor = _factor("cholesky", a)
    return wrap(ops.matrix_transpose(factor) if upper else factor)


@tensor_function
def solve_triangular(
    a: TensorLike, b: TensorLike, *, upper: bool, left: bool = True, unitriangular: bool = False
) -> Tensor:
    """The X with a X = b, or X a = b where not `left`, of which only one triangle of `a` is read.

    With `unitriangular` its diagonal is taken to be ones.  `ShapeError` where the two do not fit.
    """
    matrix, rows = promoted_floating(a, b)
    _require_square("solve_triangular", matrix)
    _require_fitting("solve_triangular", matrix, rows, -2 if left else -1)
    matrix, rows = _fitted("solve_triangular", matrix, rows)
    return wrap(ops.triangular_solve(matrix, rows, left_side=left, lower=not upper, unit_diagonal=unitriangular))


def _solve_with(factor: Var, b: Var) -> Var:
    """The X with L L^T X = b."""
    return ops.triangular_solve(factor, ops.triangular_solve(factor, b), transpose_a=Transpose.TRANSPOSE)


@tensor_function
def cholesky_solve(b: TensorLike, factor: TensorLike, upper: bool = False) -> Tensor:
    """The X with A X = b for the matrix A that `factor` is `cholesky`'s of."""
    rows, matrix = promoted_floating(b, factor)
    _require_square("cholesky_solve", matrix)
    _require_fitting("cholesky_solve", matrix, rows, -2)
    matrix, rows = _fitted("cholesky_solve", ops.matrix_transpose(matrix) if upper else matrix, rows)
    return wrap(_solve_with(matrix, rows))


@tensor_function
def solve(a: TensorLike, b: TensorLike, *, assume: str | None = None) -> Tensor:
    """The X with a X = b for symmetric positive definite `a`, as `assume="pos"` promises; `b` may be a vector.

    `ArgumentError` without that promise, `ShapeError` where the two do not fit.
    """
    matrix, rows = promoted_floating(a, b)
    _require_positive("solve", assume)
    factor = _factor("solve", matrix)
    is_vector = rows.rank == 1 or (rows.rank == matrix.rank - 1 and rows.sizes == matrix.sizes[:-1])
    columns = reshape_to(rows, (*rows.sizes, 1)) if is_vector else rows
    _require_fitting("solve", matrix, columns, -2)
    factor, columns = _fitted("solve", factor, columns)
    solution = _solve_with(factor, columns)
    return wrap(reshape_to(solution, solution.sizes[:-1]) if is_vector else solution)


@tensor_function
def inv(input: TensorLike, *, assume: str | None = None) -> Tensor:
    """The inverse of symmetric positive definite matrices, as `assume="pos"` promises; solve with it if you can."""
    (a,) = promoted_floating(input)
    _require_positive("inv", assume)
    factor = _factor("inv", a)
    return wrap(_solve_with(factor, convert(_on_diagonal(a), a.dtype)))


def _on_diagonal(x: Var) -> Var:
    row, column = (counted(x.sizes, axis, dtypes.i32) for axis in (x.rank - 2, x.rank - 1))
    return ops.compare(row, column, Direction.EQ)


def _log_diagonal(factor: Var) -> Var:
    """The sum of the logarithms of a factor's diagonal."""
    diagonal = ops.select(_on_diagonal(factor), factor, ops.ones_like(factor))
    return ops.reduce_sum(ops.log(diagonal), (factor.rank - 2, factor.rank - 1))


@tensor_function
def slogdet(input: TensorLike, *, assume: str | None = None) -> tuple[Tensor, Tensor]:
    """Sign and logarithm of the determinant of positive definite matrices, as `assume="pos"` promises."""
    (a,) = promoted_floating(input)
    _require_positive("slogdet", assume)
    total = _log_diagonal(_factor("slogdet", a))
    return wrap(ops.ones_like(total)), wrap(ops.add(total, total))


@tensor_function
def det(input: TensorLike, *, assume: str | None = None) -> Tensor:
    """The determinant of positive definite matrices, as `assume="pos"` promises."""
    (a,) = promoted_floating(input)
    _require_positive("det", assume)
    total = _log_diagonal(_factor("det", a))
    return wrap(ops.exponential(ops.add(total, total)))
