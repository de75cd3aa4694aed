"""Products of matrices and vectors of fixed ranks, sums of such products, distances and products of blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tenfold.eager import tensor_function
from tenfold.functions import arithmetic, linear_algebra, reductions, shapes
from tenfold.functions.axes import broadcast, broadcast_shape, expand_to, normalize_axis, reshape_to
from tenfold.functions.creation import counted
from tenfold.functions.matrices import inv
from tenfold.functions.shapes import sliced
from tenfold.promotion import convert, promoted, promoted_floating, result_type, type_of
from tenfold.tracing import Scalar, TensorLike, here, lift, wrap
from tenfold_rt import dtypes
from tenfold_rt.errors import ArgumentError, DTypeError, ShapeError
from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ops import Direction

if TYPE_CHECKING:
    from tenfold.tensor import Tensor

__all__ = [
    "addbmm",
    "addmm",
    "addmv",
    "addr",
    "baddbmm",
    "bmm",
    "cdist",
    "chain_matmul",
    "cross",
    "ger",
    "inner",
    "kron",
    "matrix_power",
    "mm",
    "mv",
    "vecdot",
]


def _require_ranks(name: str, ranks: Sequence[int], *operands: TensorLike) -> None:
    types = [type_of(operand) for operand in operands]
    if [type_.rank for type_ in types] != list(ranks):
        given = " and ".join(map(str, types))
        raise ShapeError(f"{name}: takes {' and '.join(map(str, ranks))} axes, got {given}", where=here())


@tensor_function
def mm(input: TensorLike, mat2: TensorLike) -> Tensor:
    """The product of two matrices."""
    _require_ranks("mm", (2, 2), input, mat2)
    return linear_algebra.matmul(input, mat2)


@tensor_function
def bmm(input: TensorLike, mat2: TensorLike) -> Tensor:
    """The products of two batches of as many matrices, (b, n, k) and (b, k, m)."""
    _require_ranks("bmm", (3, 3), input, mat2)
    if type_of(input).sizes[0] != type_of(mat2).sizes[0]:
        raise ShapeError(f"bmm: {type_of(input)} and {type_of(mat2)} differ in the number of matrices", where=here())
    return linear_algebra.matmul(input, mat2)


@tensor_function
def mv(input: TensorLike, vec: TensorLike) -> Tensor:
    """The product of a matrix with a vector."""
    _require_ranks("mv", (2, 1), input, vec)
    return linear_algebra.matmul(input, vec)


@tensor_function
def ger(input: TensorLike, vec2: TensorLike) -> Tensor:
    """The products of each element of one vector with each of another, a matrix."""
    _require_ranks("ger", (1, 1), input, vec2)
    return linear_algebra.outer(input, vec2)


def _added(name: str, input: TensorLike, product: Tensor, beta: Scalar, alpha: Scalar) -> Tensor:
    """`beta` times `input`, which broadcasts and is not read where `beta` is 0, plus `alpha` times `product`."""
    value = lift(product)
    if value.dtype.is_integer and any(isinstance(factor, float) for factor in (beta, alpha)):
        raise DTypeError(f"{name}: factors {beta} and {alpha} for integers", where=here(), mend="use integers")
    if broadcast_shape(name, type_of(input).sizes, value.sizes) != value.sizes:
        raise ShapeError(f"{name}: {type_of(input)} does not broadcast to {value.type}", where=here())
    scaled = product if alpha == 1 else product * alpha
    if beta == 0:
        return scaled
    return arithmetic.add(scaled, arithmetic.mul(input, beta) if beta != 1 else input)


@tensor_function
def addmm(input: TensorLike, mat1: TensorLike, mat2: TensorLike, *, beta: Scalar = 1, alpha: Scalar = 1) -> Tensor:
    """`beta` times `input` plus `alpha` times the product of two matrices."""
    return _added("addmm", input, mm(mat1, mat2), beta, alpha)


@tensor_function
def addmv(input: TensorLike, mat: TensorLike, vec: TensorLike, *, beta: Scalar = 1, alpha: Scalar = 1) -> Tensor:
    """`beta` times `input` plus `alpha` times the product of a matrix with a vector."""
    return _added("addmv", input, mv(mat, vec), beta, alpha)


@tensor_function
def addr(input: TensorLike, vec1: TensorLike, vec2: TensorLike, *, beta: Scalar = 1, alpha: Scalar = 1) -> Tensor:
    """`beta` times `input` plus `alpha` times the outer product of two vectors."""
    return _added("addr", input, ger(vec1, vec2), beta, alpha)


@tensor_function
def baddbmm(
    input: TensorLike, batch1: TensorLike, batch2: TensorLike, *, beta: Scalar = 1, alpha: Scalar = 1
) -> Tensor:
    """`beta` times `input` plus `alpha` times the products of two batches of matrices."""
    return _added("baddbmm", input, bmm(batch1, batch2), beta, alpha)


@tensor_function
def addbmm(input: TensorLike, batch1: TensorLike, batch2: TensorLike, *, beta: Scalar = 1, alpha: Scalar = 1) -> Tensor:
    """`beta` times `input` plus `alpha` times the sum of the products of two batches of matrices."""
    return _added("addbmm", input, reductions.sum(bmm(batch1, batch2), 0), beta, alpha)


@tensor_function
def inner(input: TensorLike, other: TensorLike) -> Tensor:
    """The sums of products over the last axes of both; a product where one is a scalar."""
    if 0 in (type_of(input).rank, type_of(other).rank):
        return arithmetic.mul(input, other)
    return linear_algebra.tensordot(input, other, ((-1,), (-1,)))


@tensor_function
def vecdot(input: TensorLike, other: TensorLike, dim: int = -1) -> Tensor:
    """The inner products of vectors along an axis, all other axes broadcasting."""
    x, y = broadcast("vecdot", *promoted(input, other))
    return wrap(ops.reduce_sum(ops.multiply(x, y), (normalize_axis("vecdot", dim, x.rank),)))


@tensor_function
def chain_matmul(*matrices: TensorLike) -> Tensor:
    """The product of matrices, one after another from the left."""
    if not matrices:
        raise ArgumentError("chain_matmul: there is no matrix", where=here())
    product = wrap(lift(matrices[0]))
    for matrix in matrices[1:]:
        product = mm(product, matrix)
    return product


@tensor_function
def matrix_power(input: TensorLike, n: int) -> Tensor:
    """The `n`-th power of square matrices by repeated squaring; that of the inverse where `n` is negative."""
    x = lift(input)
    if x.rank < 2 or x.sizes[-1] != x.sizes[-2]:
        raise ShapeError(f"matrix_power: {x.type} holds no square matrices", where=here())
    base = inv(input) if n < 0 else wrap(x)
    row, column = (counted(x.sizes, axis, dtypes.i64) for axis in (x.rank - 2, x.rank - 1))
    power = wrap(convert(ops.compare(row, column, Direction.EQ), x.dtype))
    rest, is_first = abs(n), True
    while rest:
        if rest % 2:
            power, is_first = (base if is_first else linear_algebra.matmul(power, base)), False
        rest //= 2
        base = linear_algebra.matmul(base, base) if rest else base
    return power


@tensor_function
def cross(input: TensorLike, other: TensorLike, dim: int | None = None) -> Tensor:
    """The cross products of vectors of three numbers along an axis, by default the first of that size."""
    if type_of(input).rank != type_of(other).rank:
        raise ShapeError(f"cross: {type_of(input)} and {type_of(other)} differ in rank", where=here())
    x, y = broadcast("cross", *promoted(input, other))
    if dim is None and 3 not in x.sizes:
        raise ShapeError(f"cross: {x.type} has no axis of size 3", where=here())
    axis = x.sizes.index(3) if dim is None else normalize_axis("cross", dim, x.rank)
    if x.sizes[axis] != 3:
        raise ShapeError(f"cross: axis {axis} of {x.type} has not size 3", where=here())
    first, second = (_turned(value, axis, 1) for value in (x, y))
    third, fourth = (_turned(value, axis, 2) for value in (x, y))
    return wrap(ops.subtract(ops.multiply(first, fourth), ops.multiply(third, second)))


def _turned(x: Var, axis: int, places: int) -> Var:
    """Three positions along `axis`, moved to the front by `places`."""
    return ops.concatenate([sliced(x, axis, places, 3), sliced(x, axis, 0, places)], axis)


@tensor_function
def kron(input: TensorLike, other: TensorLike) -> Tensor:
    """The Kronecker product: each element of `input` times the whole of `other`, block by block."""
    x, y = promoted(input, other)
    rank = max(x.rank, y.rank)
    outer, within = ((1,) * (rank - value.rank) + value.sizes for value in (x, y))
    spread = tuple(n for pair in zip(outer, within, strict=True) for n in pair)
    a = ops.broadcast_in_dim(reshape_to(x, outer), spread, range(0, 2 * rank, 2))
    b = ops.broadcast_in_dim(reshape_to(y, within), spread, range(1, 2 * rank, 2))
    return wrap(reshape_to(ops.multiply(a, b), [n * m for n, m in zip(outer, within, strict=True)]))


@tensor_function
def cdist(x1: TensorLike, x2: TensorLike, p: float = 2.0) -> Tensor:
    """The `p`-norms of the differences of each row of (..., n, d) and each row of (..., m, d), as (..., n, m)."""
    if not result_type(x1, x2).is_float:
        raise DTypeError(f"cdist: takes floats, not {type_of(x1)} and {type_of(x2)}", where=here())
    a, b = promoted_floating(x1, x2)
    if a.rank < 2 or b.rank < 2 or a.sizes[-1] != b.sizes[-1]:
        raise ShapeError(f"cdist: {a.type} and {b.type} have no rows of one length", where=here())
    batch = broadcast_shape("cdist", a.sizes[:-2], b.sizes[:-2])
    rows, columns, length = a.sizes[-2], b.sizes[-2], a.sizes[-1]
    a = expand_to(shapes.unsqueeze(wrap(a), -2).in_trace(), (*batch, rows, columns, length))
    b = expand_to(shapes.unsqueeze(wrap(b), -3).in_trace(), (*batch, rows, columns, length))
    return reductions.norm(wrap(ops.subtract(a, b)), p, -1)
