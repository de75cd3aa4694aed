"""Parts and arrangements of a tensor: one position or a range of an axis, diagonals, triangles' indices, windows,
mirrored and turned, repeated."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tenfold.eager import tensor_function
from tenfold.functions import shapes
from tenfold.functions.axes import integer_argument, normalize_axis, reshape_to, shape_argument, size_argument
from tenfold.functions.creation import counted, filled
from tenfold.functions.shapes import permuted, sliced
from tenfold.promotion import type_of
from tenfold.specs import DTypeLike, element_type
from tenfold.tracing import TensorLike, current, here, lift, wrap
from tenfold_rt import dtypes
from tenfold_rt.errors import ArgumentError, RangeError, ShapeError
from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ops import Direction

if TYPE_CHECKING:
    from tenfold.tensor import Tensor

__all__ = [
    "as_strided",
    "diag",
    "diag_embed",
    "diagflat",
    "expand_as",
    "fliplr",
    "flipud",
    "movedim",
    "narrow",
    "repeat",
    "reshape_as",
    "rot90",
    "select",
    "swapdims",
    "t",
    "tril_indices",
    "triu_indices",
    "unflatten",
    "unfold",
    "vander",
    "view_as",
]


@tensor_function(views=True)
def select(input: TensorLike, dim: int, index: int) -> Tensor:
    """The position `index` of an axis, which is taken out; `RangeError` where it is out of range."""
    x = lift(input)
    axis = normalize_axis("select", dim, x.rank)
    place, length = size_argument("select", index), x.sizes[axis]
    if not -length <= place < length:
        raise RangeError(f"select: {place} is out of range for axis {axis} of size {length}", where=here())
    part = sliced(x, axis, place % length, place % length + 1)
    return wrap(reshape_to(part, (*x.sizes[:axis], *x.sizes[axis + 1 :])))


@tensor_function(views=True)
def narrow(input: TensorLike, dim: int, start: int, length: int) -> Tensor:
    """`length` positions of an axis from `start` on; `RangeError` where there are not so many."""
    x = lift(input)
    axis = normalize_axis("narrow", dim, x.rank)
    first, size = size_argument("narrow", start), x.sizes[axis]
    first = first + size if first < 0 else first
    if length < 0 or first < 0 or first + length > size:
        raise RangeError(f"narrow: {length} from {start} on of axis {axis} of size {size}", where=here())
    return wrap(sliced(x, axis, first, first + length))


@tensor_function(views=True)
def unflatten(input: TensorLike, dim: int, sizes: Sequence[int]) -> Tensor:
    """An axis made several of `sizes`, of which one may be -1."""
    x = lift(input)
    axis = normalize_axis("unflatten", dim, x.rank)
    parts, length = [size_argument("unflatten", size) for size in sizes], x.sizes[axis]
    known = math.prod(size for size in parts if size != -1)
    if parts.count(-1) == 1 and known and length % known == 0:
        parts[parts.index(-1)] = length // known
    if not parts or min(parts) < 0 or math.prod(parts) != length:
        raise ShapeError(f"unflatten: sizes {tuple(sizes)} do not make {length} (axis {axis})", where=here())
    return wrap(reshape_to(x, (*x.sizes[:axis], *parts, *x.sizes[axis + 1 :])))


@tensor_function
def unfold(input: TensorLike, dimension: int, size: int, step: int) -> Tensor:
    """Windows of `size` along an axis, `step` apart, as a new last axis."""
    x = lift(input)
    whole = reshape_to(x, (1,)) if x.rank == 0 else x
    axis = normalize_axis("unfold", dimension, whole.rank)
    length = whole.sizes[axis]
    if not 0 <= size <= length or step < 1:
        raise ArgumentError(f"unfold: windows of {size}, {step} apart, of {length} (axis {axis})", where=here())
    count = (length - size) // step + 1
    shape = (count, size)
    starts = ops.multiply(counted(shape, 0, dtypes.i64), filled(shape, step, dtypes.i64))
    places = reshape_to(ops.add(starts, counted(shape, 1, dtypes.i64)), (count * size,))
    sizes = (*whole.sizes[:axis], count * size, *whole.sizes[axis + 1 :])
    taken = ops.take_along_axis(whole, ops.broadcast_in_dim(places, sizes, (axis,)), axis)
    split = reshape_to(taken, (*whole.sizes[:axis], count, size, *whole.sizes[axis + 1 :]))
    order = [i for i in range(split.rank) if i != axis + 1]
    result = permuted(split, [*order, axis + 1])
    return wrap(reshape_to(result, (size,)) if x.rank == 0 else result)


@tensor_function
def as_strided(input: TensorLike, size: Sequence[int], stride: Sequence[int], storage_offset: int = 0) -> Tensor:
    """A tensor of `size` whose element (i, j, ...) is element offset + i s0 + j s1 + ... of the flattened `input`.

    `RangeError` where that is not within it.
    """
    x = lift(input)
    flat = reshape_to(x, (x.type.size,))
    shape = tuple(size)
    if len(shape) != len(stride) or any(n < 0 for n in (*shape, *stride, storage_offset)):
        raise ArgumentError(f"as_strided: size {shape}, stride {tuple(stride)}", where=here())
    highest = storage_offset + sum((n - 1) * step for n, step in zip(shape, stride, strict=True))
    if math.prod(shape) and highest >= flat.sizes[0]:
        raise RangeError(f"as_strided: element {highest} of {flat.sizes[0]}", where=here())
    places = filled(shape, storage_offset, dtypes.i64)
    for axis, step in enumerate(stride):
        places = ops.add(places, ops.multiply(counted(shape, axis, dtypes.i64), filled(shape, step, dtypes.i64)))
    taken = ops.take_along_axis(flat, reshape_to(places, (math.prod(shape),)), 0)
    return wrap(reshape_to(taken, shape))


@tensor_function
def diag(input: TensorLike, diagonal: int = 0) -> Tensor:
    """The diagonal of a matrix, or the matrix of zeros that has a vector as its diagonal."""
    x = lift(input)
    if x.rank not in (1, 2):
        raise ShapeError(f"diag: {x.type} is neither a vector nor a matrix", where=here())
    return shapes.diagonal(input, diagonal) if x.rank == 2 else diag_embed(input, diagonal)


@tensor_function
def diagflat(input: TensorLike, offset: int = 0) -> Tensor:
    """The matrix of zeros that has the flattened tensor as its diagonal."""
    x = lift(input)
    return diag_embed(wrap(reshape_to(x, (x.type.size,))), offset)


@tensor_function
def diag_embed(input: TensorLike, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """Matrices of zeros, over the new axes `dim1` and `dim2`, that have the last axis as diagonal `offset`."""
    x = lift(input)
    if x.rank == 0:
        raise ShapeError("diag_embed: a scalar has no axis to lay along a diagonal", where=here())
    first, second = (normalize_axis("diag_embed", dim, x.rank + 1) for dim in (dim1, dim2))
    if first == second:
        raise ArgumentError("diag_embed: dim1 and dim2 are the same axis", where=here())
    if first > second:
        first, second, offset = second, first, -offset
    lead, before, after = x.rank - 1, max(0, -offset), max(0, offset)
    side = x.sizes[-1] + before + after
    # Row i has its number at column i + offset: repeated along columns, and kept there alone.
    edges = [0] * lead
    rows = ops.pad(x, filled((), 0, x.dtype), [*edges, before], [*edges, after])
    shape = (*x.sizes[:-1], side, side)
    spread = ops.broadcast_in_dim(rows, shape, range(x.rank))
    row, column = counted(shape, lead, dtypes.i64), counted(shape, lead + 1, dtypes.i64)
    on_diagonal = ops.compare(ops.add(row, filled(shape, offset, dtypes.i64)), column, Direction.EQ)
    matrix = ops.select(on_diagonal, spread, ops.zeros_like(spread))
    order = list(range(lead))
    order.insert(first, lead)
    order.insert(second, lead + 1)
    return wrap(permuted(matrix, order))


@tensor_function
def tril_indices(row: int, col: int, offset: int = 0, *, dtype: DTypeLike | None = None) -> Tensor:
    """The rows and columns of the lower triangle of a (row, col) matrix, up to diagonal `offset`, as (2, n); i64."""
    found = [(i, j) for i in range(row) for j in range(min(col, max(0, i + offset + 1)))]
    return _index_pairs(found, dtype)


@tensor_function
def triu_indices(row: int, col: int, offset: int = 0, *, dtype: DTypeLike | None = None) -> Tensor:
    """The rows and columns of the upper triangle of a (row, col) matrix, from diagonal `offset`, as (2, n); i64."""
    return _index_pairs([(i, j) for i in range(row) for j in range(max(0, i + offset), col)], dtype)


def _index_pairs(pairs: Sequence[tuple[int, int]], dtype: DTypeLike | None) -> Tensor:
    element = dtypes.i64 if dtype is None else element_type(dtype)
    if not pairs:
        return wrap(filled((2, 0), 0, element))
    return wrap(ops.constant(current().builder, [[i for i, _ in pairs], [j for _, j in pairs]], element))


@tensor_function
def vander(x: TensorLike, N: int | None = None, increasing: bool = False) -> Tensor:  # noqa: N803 - PyTorch's name
    """The powers of a vector's elements as columns, `N` of them, the highest first unless `increasing`."""
    base = lift(x)
    if base.rank != 1:
        raise ShapeError(f"vander: {base.type} is not a vector", where=here())
    count = base.sizes[0] if N is None else size_argument("vander", N)
    columns = [ops.ones_like(base)]
    while len(columns) < count:
        columns.append(ops.multiply(columns[-1], base))
    chosen = columns[:count] if increasing else columns[:count][::-1]
    if not chosen:
        return wrap(filled((base.sizes[0], 0), 0, base.dtype))
    return shapes.stack([wrap(column) for column in chosen], 1)


@tensor_function
def fliplr(input: TensorLike) -> Tensor:
    """The tensor reversed along its second axis."""
    return _mirrored("fliplr", lift(input), 1)


@tensor_function
def flipud(input: TensorLike) -> Tensor:
    """The tensor reversed along its first axis."""
    return _mirrored("flipud", lift(input), 0)


def _mirrored(name: str, x: Var, axis: int) -> Tensor:
    if x.rank <= axis:
        raise ShapeError(f"{name}: {x.type} has fewer than {axis + 1} axes", where=here())
    return wrap(ops.reverse(x, (axis,)))


@tensor_function
def rot90(input: TensorLike, k: int = 1, dims: Sequence[int] = (0, 1)) -> Tensor:
    """The tensor turned `k` times by 90 degrees in the plane of two axes, from the first toward the second."""
    x, k = lift(input), integer_argument("rot90", "k", k)
    if len(dims) != 2:
        raise ArgumentError(f"rot90: turns two axes, not {tuple(dims)}", where=here())
    first, second = (normalize_axis("rot90", dim, x.rank) for dim in dims)
    if first == second:
        raise ArgumentError(f"rot90: {tuple(dims)} are one axis", where=here())
    order = list(range(x.rank))
    order[first], order[second] = second, first
    match k % 4:
        case 1:
            return wrap(permuted(ops.reverse(x, (second,)), order))
        case 2:
            return wrap(ops.reverse(x, (first, second)))
        case 3:
            return wrap(permuted(ops.reverse(x, (first,)), order))
        case _:
            return wrap(x)


@tensor_function(views=True)
def t(input: TensorLike) -> Tensor:
    """The transpose of a matrix; vectors and scalars as they are."""
    x = lift(input)
    if x.rank > 2:
        raise ShapeError(f"t: {x.type} has more than two axes", where=here(), mend="use transpose or permute")
    return wrap(permuted(x, range(x.rank)[::-1]))


@tensor_function
def repeat(input: TensorLike, *sizes: int | Sequence[int]) -> Tensor:
    """The tensor `sizes` times along each axis, given as `repeat(x, 2, 3)`; a size for every axis at least."""
    counts = shape_argument("repeat", sizes)
    if len(counts) < type_of(input).rank or any(count < 0 for count in counts):
        raise ShapeError(f"repeat: {counts} times for {type_of(input)}", where=here())
    return shapes.tile(input, counts)


@tensor_function(views=True)
def view_as(input: TensorLike, other: TensorLike) -> Tensor:
    """The tensor with the shape of `other`."""
    return shapes.reshape(input, type_of(other).sizes)


@tensor_function(views=True)
def expand_as(input: TensorLike, other: TensorLike) -> Tensor:
    """The tensor repeated to the shape of `other`."""
    return shapes.expand(input, type_of(other).sizes)


reshape_as = view_as
movedim = shapes.moveaxis
swapdims = shapes.swapaxes
