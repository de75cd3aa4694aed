"""Tensors joined and cut along certain axes, brought to one shape, combined into grids and blocks."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

from tenfold.eager import tensor_function
from tenfold.functions.axes import broadcast_shape, expand_to, normalize_axis, reshape_to, size_argument
from tenfold.functions.creation import filled
from tenfold.functions.shapes import concatenate, permuted, sliced, stack
from tenfold.promotion import convert, result_type
from tenfold.tracing import TensorLike, here, lift, wrap
from tenfold_rt import dtypes
from tenfold_rt.errors import ArgumentError, DTypeError, ShapeError
from tenfoldc import ops
from tenfoldc.ir.builder import Var

if TYPE_CHECKING:
    from tenfold.tensor import Tensor

__all__ = [
    "atleast_1d",
    "atleast_2d",
    "atleast_3d",
    "block_diag",
    "broadcast_tensors",
    "cartesian_prod",
    "column_stack",
    "combinations",
    "concat",
    "dsplit",
    "dstack",
    "hsplit",
    "hstack",
    "meshgrid",
    "row_stack",
    "tensor_split",
    "unbind",
    "vsplit",
    "vstack",
]


def _given(tensors: tuple[Any, ...]) -> tuple[Any, ...]:
    """Tensors given as `f(x, y)` or `f([x, y])`."""
    if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)):
        return tuple(cast("Sequence[Any]", tensors[0]))
    return tensors


def _at_least(name: str, place: Callable[[Var], Var], tensors: tuple[Any, ...]) -> Tensor | tuple[Tensor, ...]:
    given = _given(tensors)
    if not given:
        raise ArgumentError(f"{name}: there is no tensor", where=here())
    grown = tuple(wrap(place(lift(tensor))) for tensor in given)
    return grown if given is not tensors or len(given) > 1 else grown[0]


def _in_1d(x: Var) -> Var:
    return reshape_to(x, (1,)) if x.rank == 0 else x


def _in_2d(x: Var) -> Var:
    return reshape_to(x, (1, x.type.size)) if x.rank < 2 else x


def _in_3d(x: Var) -> Var:
    return reshape_to(_in_2d(x), (*_in_2d(x).sizes, 1)) if x.rank < 3 else x


@tensor_function(views=True)
def atleast_1d(*tensors: TensorLike | Sequence[TensorLike]) -> Tensor | tuple[Tensor, ...]:
    """Each tensor with at least one axis; several give a tuple."""
    return _at_least("atleast_1d", _in_1d, tensors)


@tensor_function
def atleast_2d(*tensors: TensorLike | Sequence[TensorLike]) -> Tensor | tuple[Tensor, ...]:
    """Each tensor with at least two axes, new ones in front; several give a tuple."""
    return _at_least("atleast_2d", _in_2d, tensors)


@tensor_function
def atleast_3d(*tensors: TensorLike | Sequence[TensorLike]) -> Tensor | tuple[Tensor, ...]:
    """Each tensor with at least three axes: a vector becomes (1, n, 1), a matrix (m, n, 1); several give a tuple."""
    return _at_least("atleast_3d", _in_3d, tensors)


def concat(tensors: Sequence[TensorLike], dim: int | None = None, *, axis: int | None = None) -> Tensor:
    """`cat` by NumPy's and PyTorch's other name."""
    return concatenate(tensors, dim, axis=axis)


@tensor_function
def hstack(tensors: Sequence[TensorLike]) -> Tensor:
    """Tensors side by side: joined along the second axis, vectors along their only one."""
    given = [wrap(_in_1d(lift(tensor))) for tensor in tensors]
    return concatenate(given, 0 if given and given[0].ndim == 1 else 1)


@tensor_function
def vstack(tensors: Sequence[TensorLike]) -> Tensor:
    """Tensors one below the other: joined along the first axis, vectors as rows."""
    return concatenate([wrap(_in_2d(lift(tensor))) for tensor in tensors], 0)


@tensor_function
def dstack(tensors: Sequence[TensorLike]) -> Tensor:
    """Tensors one behind the other: joined along the third axis, which they get where they lack it."""
    return concatenate([wrap(_in_3d(lift(tensor))) for tensor in tensors], 2)


@tensor_function
def column_stack(tensors: Sequence[TensorLike]) -> Tensor:
    """Vectors as columns, and matrices, side by side."""
    columns = (lift(tensor) for tensor in tensors)
    return concatenate([wrap(reshape_to(x, (x.type.size, 1)) if x.rank < 2 else x) for x in columns], 1)


@tensor_function(views=True)
def tensor_split(input: TensorLike, indices_or_sections: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """A number of pieces along an axis, the first ones longer by 1 where they must be, or pieces cut at indices."""
    x = lift(input)
    axis = normalize_axis("tensor_split", dim, x.rank)
    length = x.sizes[axis]
    if isinstance(indices_or_sections, Sequence):
        cuts = [min(length, max(0, cut + length if cut < 0 else cut)) for cut in indices_or_sections]
    else:
        sections = size_argument("tensor_split", indices_or_sections)
        if sections <= 0:
            raise ArgumentError(f"tensor_split: {sections} pieces", where=here(), mend="ask for 1 or more")
        small, longer = divmod(length, sections)
        cuts = [small * number + min(number, longer) for number in range(1, sections)]
    bounds = zip([0, *cuts], [*cuts, length], strict=True)
    return tuple(wrap(sliced(x, axis, start, max(start, stop))) for start, stop in bounds)


def _split_along(
    name: str, input: TensorLike, indices_or_sections: int | Sequence[int], axis: int, rank: int
) -> tuple[Tensor, ...]:
    x = lift(input)
    if x.rank < rank:
        raise ShapeError(f"{name}: {x.type} has fewer than {rank} axes", where=here())
    if isinstance(indices_or_sections, int) and (indices_or_sections < 1 or x.sizes[axis] % indices_or_sections):
        raise ShapeError(f"{name}: {x.sizes[axis]} do not fall into {indices_or_sections} equal parts", where=here())
    return tensor_split(wrap(x), indices_or_sections, axis)


@tensor_function(views=True)
def hsplit(input: TensorLike, indices_or_sections: int | Sequence[int]) -> tuple[Tensor, ...]:
    """Equal pieces along the second axis, of a vector along its only one, or pieces cut at indices."""
    return _split_along("hsplit", input, indices_or_sections, 0 if lift(input).rank == 1 else 1, 1)


@tensor_function(views=True)
def vsplit(input: TensorLike, indices_or_sections: int | Sequence[int]) -> tuple[Tensor, ...]:
    """Equal pieces along the first of at least two axes, or pieces cut at indices."""
    return _split_along("vsplit", input, indices_or_sections, 0, 2)


@tensor_function(views=True)
def dsplit(input: TensorLike, indices_or_sections: int | Sequence[int]) -> tuple[Tensor, ...]:
    """Equal pieces along the third axis, or pieces cut at indices."""
    return _split_along("dsplit", input, indices_or_sections, 2, 3)


@tensor_function(views=True)
def unbind(input: TensorLike, dim: int = 0) -> tuple[Tensor, ...]:
    """The tensors at each position along an axis."""
    x = lift(input)
    axis = normalize_axis("unbind", dim, x.rank)
    shape = (*x.sizes[:axis], *x.sizes[axis + 1 :])
    return tuple(wrap(reshape_to(sliced(x, axis, i, i + 1), shape)) for i in range(x.sizes[axis]))


@tensor_function(views=True)
def broadcast_tensors(*tensors: TensorLike | Sequence[TensorLike]) -> tuple[Tensor, ...]:
    """The tensors repeated to the shape that they broadcast to."""
    values = [lift(tensor) for tensor in _given(tensors)]
    shape = broadcast_shape("broadcast_tensors", *(value.sizes for value in values))
    return tuple(wrap(expand_to(value, shape)) for value in values)


@tensor_function
def meshgrid(*tensors: TensorLike | Sequence[TensorLike], indexing: str = "ij") -> tuple[Tensor, ...]:
    """The coordinates of a grid, one tensor for each of the vectors; with `"xy"` the first two axes are exchanged."""
    values = [_in_1d(lift(tensor)) for tensor in _given(tensors)]
    if indexing not in ("ij", "xy"):
        raise ArgumentError(f"meshgrid: there is no indexing {indexing!r}", where=here(), mend="use ij or xy")
    if any(value.rank > 1 for value in values):
        raise ShapeError("meshgrid: takes vectors and scalars", where=here())
    if len({value.dtype for value in values}) > 1:
        raise DTypeError("meshgrid: the vectors differ in element type", where=here(), mend="convert them")
    shape = tuple(value.type.size for value in values)
    grids = [ops.broadcast_in_dim(value, shape, (axis,)) for axis, value in enumerate(values)]
    if indexing == "xy" and len(values) > 1:
        grids = [permuted(grid, (1, 0, *range(2, len(shape)))) for grid in grids]
    return tuple(map(wrap, grids))


@tensor_function
def cartesian_prod(*tensors: TensorLike) -> Tensor:
    """All choices of one element from each vector, as the rows of a matrix; a single vector as it is."""
    grids = meshgrid(*tensors)
    if len(grids) == 1:
        return grids[0]
    return stack([wrap(reshape_to(lift(grid), (lift(grid).type.size,))) for grid in grids], 1)


@tensor_function
def combinations(input: TensorLike, r: int = 2, with_replacement: bool = False) -> Tensor:
    """All choices of `r` positions of a vector in ascending order, as the rows of a matrix."""
    x = lift(input)
    if x.rank != 1 or r < 0:
        raise ArgumentError(f"combinations: {r} of {x.type}", where=here(), mend="give a vector, and r of 0 or more")
    if r == 0:
        return wrap(filled((0,), 0, x.dtype))
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    rows = list(choose(range(x.sizes[0]), r))
    if not rows:
        return wrap(filled((0, r), 0, x.dtype))
    places = ops.constant(x.builder, [list(row) for row in rows], dtypes.i64)
    flat = reshape_to(places, (len(rows) * r,))
    return wrap(reshape_to(ops.take_along_axis(x, flat, 0), (len(rows), r)))


@tensor_function
def block_diag(*tensors: TensorLike) -> Tensor:
    """The matrices (vectors as rows, scalars as 1 x 1) along the diagonal of a matrix of zeros."""
    dtype = result_type(*tensors) if tensors else dtypes.f32
    blocks = [_in_2d(convert(lift(tensor), dtype)) for tensor in tensors]
    if any(block.rank > 2 for block in blocks):
        raise ShapeError("block_diag: takes matrices, vectors and scalars", where=here())
    if not blocks:
        return wrap(filled((1, 0), 0, dtype))
    width, before = sum(block.sizes[1] for block in blocks), 0
    rows: list[Var] = []
    for block in blocks:
        after = width - before - block.sizes[1]
        rows.append(ops.pad(block, filled((), 0, dtype), (0, before), (0, after)))
        before += block.sizes[1]
    return wrap(ops.concatenate(rows, 0) if len(rows) > 1 else rows[0])


row_stack = vstack
