"""Systems of equations, inverses and determinants of square matrices, from L and U of `tenfoldc.ops.lu`.

Matrices are the last two axes, all others are batches.  With
`assume="pos"` a matrix is taken to be symmetric positive definite, and Cholesky's factor of it used, which is faster.
Where a matrix is singular, the results are infinite or NaN, and its determinant is 0.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from tenfold.eager import tensor_function
from tenfold.functions import factorizations, return_types, shapes
from tenfold.functions.axes import broadcast_shape, expand_to, reshape_to
from tenfold.functions.creation import counted
from tenfold.promotion import convert, promoted_floating, type_of
from tenfold.tracing import TensorLike, here, lift, wrap
from tenfold.transforms.custom import custom_jvp
from tenfold_rt import dtypes
from tenfold_rt.errors import DTypeError, ShapeError
from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ops import Direction

if TYPE_CHECKING:
    from tenfold.tensor import Tensor

__all__ = ["det", "inv", "inverse", "logdet", "slogdet", "solve"]


def _require_square(name: str, x: TensorLike) -> None:
    type_ = type_of(x)
    if type_.rank < 2 or type_.sizes[-1] != type_.sizes[-2]:
        raise ShapeError(f"{name}: {type_} holds no square matrices", where=here())
    if not type_.dtype.is_float:
        raise DTypeError(f"{name}: takes floats, not {type_}", where=here(), mend="convert it with x.to(tn.f32)")


def _identity_like(x: Var) -> Var:
    row, column = (counted(x.sizes, axis, dtypes.i64) for axis in (x.rank - 2, x.rank - 1))
    return convert(ops.compare(row, column, Direction.EQ), x.dtype)


def _solved(a: Var, b: Var) -> Var:
    """The X with a X = b, of matrices with the same batches."""
    factors, _, permutation = ops.lu(a)
    known = ops.triangular_solve(factors, ops.permuted_rows(b, permutation), unit_diagonal=True)
    return ops.triangular_solve(factors, known, lower=False)


def _pivots(a: Var) -> tuple[Var, Var, Var]:
    """The diagonal of U, whose product is the determinant but for its sign; that sign; whether one of them is 0.

    An infinite or undefined pivot follows one of 0, which decides.
    """
    factors, exchanged, _ = ops.lu(a)
    pivots = lift(shapes.diagonal(wrap(factors), 0, -2, -1))
    last = pivots.rank - 1
    stays = ops.compare(exchanged, counted(exchanged.sizes, last, dtypes.i32), Direction.EQ)
    one = ops.ones_like(pivots)
    sign = ops.reduce_prod(ops.select(stays, one, ops.negate(one)), (last,))
    is_singular = ops.reduce_or(ops.compare(pivots, ops.zeros_like(pivots), Direction.EQ), (last,))
    return pivots, sign, is_singular


@custom_jvp
def _inverse(a: Tensor) -> Tensor:
    x = lift(a)
    return wrap(_solved(x, _identity_like(x)))


@_inverse.defjvp
def _inverse_rule(primals: tuple[Tensor], tangents: tuple[Tensor]) -> tuple[Tensor, Tensor]:
    inverse = _inverse(*primals)
    return inverse, -(inverse @ tangents[0] @ inverse)


@custom_jvp
def _solution(a: Tensor, b: Tensor) -> Tensor:
    return wrap(_solved(lift(a), lift(b)))


@_solution.defjvp
def _solution_rule(primals: tuple[Tensor, Tensor], tangents: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    solution = _solution(*primals)
    change = tangents[1] - tangents[0] @ solution
    return solution, wrap(_solved(lift(primals[0]), lift(change)))


@custom_jvp
def _sign_and_log(a: Tensor) -> tuple[Tensor, Tensor]:
    pivots, sign, is_singular = _pivots(lift(a))
    last = (pivots.rank - 1,)
    signs = ops.multiply(sign, ops.reduce_prod(ops.sign(pivots), last))
    logarithm = ops.reduce_sum(ops.log(ops.abs_(pivots)), last)
    signs = ops.select(is_singular, ops.zeros_like(signs), signs)
    return wrap(signs), wrap(ops.select(is_singular, ops.full_like(logarithm, -math.inf), logarithm))


@_sign_and_log.defjvp
def _sign_and_log_rule(
    primals: tuple[Tensor], tangents: tuple[Tensor]
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    sign, logarithm = _sign_and_log(*primals)
    return (sign, logarithm), (sign * 0, _relative_change(*primals, *tangents))


@custom_jvp
def _determinant(a: Tensor) -> Tensor:
    pivots, sign, is_singular = _pivots(lift(a))
    last = (pivots.rank - 1,)
    product = ops.multiply(sign, ops.reduce_prod(pivots, last))
    return wrap(ops.select(is_singular, ops.zeros_like(product), product))


@_determinant.defjvp
def _determinant_rule(primals: tuple[Tensor], tangents: tuple[Tensor]) -> tuple[Tensor, Tensor]:
    value = _determinant(*primals)
    return value, value * _relative_change(*primals, *tangents)


def _relative_change(a: Tensor, tangent: Tensor) -> Tensor:
    """The change of the determinant, divided by it: the trace of a^-1 a'."""
    return (shapes.transpose(_inverse(a), -2, -1) * tangent).sum((-2, -1))


def _square(name: str, x: TensorLike) -> Tensor:
    """`x` traced, computed with in f32 at least."""
    _require_square(name, x)
    (value,) = promoted_floating(x)
    return wrap(convert(value, dtypes.f32) if value.dtype.is_half else value)


@tensor_function
def solve(
    A: TensorLike,  # noqa: N803 - PyTorch's name
    B: TensorLike,  # noqa: N803
    *,
    left: bool = True,
    assume: str | None = None,
) -> Tensor:
    """The X with A X = B, or X A = B where not `left`; `B` may be a vector, or one for each matrix.

    With `assume="pos"` the matrices are taken to be symmetric positive definite.  `ShapeError` where the two do not
    fit, `DTypeError` for integers.
    """
    if assume is not None:
        return factorizations.solve(A, B, assume=assume)
    matrix = _square("solve", A)
    a, b = promoted_floating(matrix, B)
    is_vector = b.rank == 1 or (b.rank == a.rank - 1 and b.sizes == a.sizes[:-1])
    columns = reshape_to(b, (*b.sizes, 1)) if is_vector else b
    if not left:
        a, columns = ops.matrix_transpose(a), ops.matrix_transpose(columns)
    if columns.sizes[-2] != a.sizes[-1]:
        raise ShapeError(f"solve: a matrix of {a.type} does not fit {b.type}", where=here())
    batch = broadcast_shape("solve", a.sizes[:-2], columns.sizes[:-2])
    a, columns = expand_to(a, (*batch, *a.sizes[-2:])), expand_to(columns, (*batch, *columns.sizes[-2:]))
    found = lift(_solution(wrap(a), wrap(columns)))
    found = found if left else ops.matrix_transpose(found)
    return wrap(reshape_to(found, found.sizes[:-1]) if is_vector else found)


@tensor_function
def inv(A: TensorLike, *, assume: str | None = None) -> Tensor:  # noqa: N803 - PyTorch's name
    """The inverse of square matrices; with `assume="pos"` of symmetric positive definite ones.

    Solve with it if you can.  `DTypeError` for integers.
    """
    return factorizations.inv(A, assume=assume) if assume is not None else _inverse(_square("inv", A))


@tensor_function
def slogdet(A: TensorLike, *, assume: str | None = None) -> return_types.slogdet:  # noqa: N803 - PyTorch's name
    """Sign and logarithm of the size of the determinant; with `assume="pos"` of positive definite matrices."""
    if assume is not None:
        return return_types.slogdet(*factorizations.slogdet(A, assume=assume))
    return return_types.slogdet(*_sign_and_log(_square("slogdet", A)))


@tensor_function
def logdet(A: TensorLike) -> Tensor:  # noqa: N803 - PyTorch's name
    """The logarithm of the determinant; NaN where it is negative."""
    sign, logarithm = _sign_and_log(_square("logdet", A))
    negative = ops.compare(lift(sign), ops.zeros_like(lift(sign)), Direction.LT)
    return wrap(ops.select(negative, ops.full_like(lift(logarithm), math.nan), lift(logarithm)))


@tensor_function
def det(A: TensorLike, *, assume: str | None = None) -> Tensor:  # noqa: N803 - PyTorch's name
    """The determinant of square matrices; with `assume="pos"` of symmetric positive definite ones."""
    return factorizations.det(A, assume=assume) if assume is not None else _determinant(_square("det", A))


inverse = inv
