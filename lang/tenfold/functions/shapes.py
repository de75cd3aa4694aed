"""Shapes: reshaping, reordering, repeating, joining and cutting up tensors.  Nothing here computes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, cast

import numpy as np

from tenfold.eager import tensor_function
from tenfold.functions.axes import (
    Axes,
    broadcast_shape,
    either,
    expand_to,
    integer_argument,
    normalize_axes,
    normalize_axis,
    require_axis,
    reshape_to,
    shape_argument,
    size_argument,
)
from tenfold.promotion import promoted
from tenfold.tracing import Array, Scalar, TensorLike, here, lift, wrap
from tenfold_rt.errors import ArgumentError, ShapeError
from tenfoldc import ops
from tenfoldc.ir.builder import Var

if TYPE_CHECKING:
    from tenfold.tensor import Tensor

__all__ = [
    "broadcast_to",
    "cat",
    "chunk",
    "concatenate",
    "diagonal",
    "expand",
    "expand_dims",
    "flatten",
    "flip",
    "moveaxis",
    "pad",
    "permute",
    "ravel",
    "reshape",
    "roll",
    "split",
    "squeeze",
    "stack",
    "swapaxes",
    "tile",
    "transpose",
    "unsqueeze",
]


@tensor_function(views=True)
def reshape(input: TensorLike, *shape: int | Sequence[int]) -> Tensor:
    """`input` with another shape of as many elements, in row-major order; one size may be -1 and is worked out."""
    value = lift(input)
    return wrap(reshape_to(value, _completed(value, shape_argument("reshape", shape))))


def _completed(x: Var, shape: tuple[int, ...]) -> tuple[int, ...]:
    """`shape` with -1 replaced by what is left; `ShapeError` where the numbers of elements differ."""
    size, known = math.prod(x.sizes), math.prod(n for n in shape if n != -1)
    open_axes = shape.count(-1)
    fits = known == size if open_axes == 0 else open_axes == 1 and known > 0 and size % known == 0
    if open_axes > 1:
        raise ShapeError(f"reshape: {shape} has more than one -1, but only one size can be worked out", where=here())
    if open_axes and known == 0:
        raise ShapeError(f"reshape: any size would do for -1 in {shape}, which has no elements", where=here())
    if not fits or any(n < -1 for n in shape):
        raise ShapeError(f"reshape: {x.type} has {size} elements, which {shape} cannot hold", where=here())
    return tuple(size // known if n == -1 else n for n in shape)


@tensor_function(views=True)
def flatten(input: TensorLike, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """`input` with the axes from `start_dim` to `end_dim`, both included, made one."""
    value = lift(input)
    if value.rank == 0:
        return wrap(reshape_to(value, (1,)))
    start = normalize_axis("flatten", start_dim, value.rank)
    end = normalize_axis("flatten", end_dim, value.rank)
    sizes = value.sizes
    return wrap(reshape_to(value, (*sizes[:start], math.prod(sizes[start : end + 1]), *sizes[end + 1 :])))


@tensor_function(views=True)
def ravel(input: TensorLike) -> Tensor:
    """`input` as one axis, in row-major order."""
    value = lift(input)
    return wrap(reshape_to(value, (math.prod(value.sizes),)))


def permuted(x: Var, permutation: Sequence[int]) -> Var:
    """`x` with its axes in another order; itself where the order is the same."""
    return x if tuple(permutation) == tuple(range(x.rank)) else ops.transpose(x, tuple(permutation))


@tensor_function(views=True)
def permute(input: TensorLike, *dims: int | Sequence[int]) -> Tensor:
    """`input` with its axes in the order `dims`, given as `permute(x, 1, 0)` or `permute(x, (1, 0))`."""
    value = lift(input)
    given = cast("Sequence[int]", dims[0] if len(dims) == 1 and isinstance(dims[0], Sequence) else dims)
    axes = normalize_axes("permute", given, value.rank)
    if len(axes) != value.rank:
        raise ArgumentError(f"permute: {given} does not name the {value.rank} axes of {value.type}", where=here())
    return wrap(permuted(value, axes))


@tensor_function(views=True)
def transpose(input: TensorLike, *axes: int | Sequence[int]) -> Tensor:
    """`transpose(x)` reverses the axes, `transpose(x, 0, 1)` swaps two (PyTorch's), `transpose(x, (2, 0, 1))`
    orders them (NumPy's)."""
    value = lift(input)
    if not axes or axes == (None,):
        return wrap(permuted(value, range(value.rank)[::-1]))
    if len(axes) == 2 and not isinstance(axes[0], Sequence):
        return swapaxes(input, axes[0], cast("int", axes[1]))
    return permute(input, *axes)


@tensor_function(views=True)
def swapaxes(input: TensorLike, axis0: int, axis1: int) -> Tensor:
    """`input` with two axes exchanged; a scalar, which has none, counts as having one."""
    value = lift(input)
    if value.rank == 0 and {axis0, axis1} <= {0, -1}:
        return wrap(value)
    first = normalize_axis("swapaxes", axis0, value.rank)
    second = normalize_axis("swapaxes", axis1, value.rank)
    order = list(range(value.rank))
    order[first], order[second] = second, first
    return wrap(permuted(value, order))


@tensor_function(views=True)
def moveaxis(input: TensorLike, source: int | Sequence[int], destination: int | Sequence[int]) -> Tensor:
    """`input` with the axes `source` moved to the places `destination`, the others staying in order."""
    value = lift(input)
    sources = normalize_axes("moveaxis", source, value.rank)
    destinations = normalize_axes("moveaxis", destination, value.rank)
    if len(sources) != len(destinations):
        raise ArgumentError("moveaxis: source and destination differ in length", where=here())
    order = [axis for axis in range(value.rank) if axis not in sources]
    for place, axis in sorted(zip(destinations, sources, strict=True)):
        order.insert(place, axis)
    return wrap(permuted(value, order))


@tensor_function(views=True)
def squeeze(input: TensorLike, dim: Axes = None, *, axis: Axes = None) -> Tensor:
    """`input` without axes of size 1: all of them, or those named; a named axis of another size stays."""
    value = lift(input)
    axes = normalize_axes("squeeze", either("squeeze", dim, axis), value.rank)
    return wrap(reshape_to(value, [n for i, n in enumerate(value.sizes) if i not in axes or n != 1]))


@tensor_function(views=True)
def unsqueeze(input: TensorLike, dim: int) -> Tensor:
    """`input` with a new axis of size 1 at `dim`."""
    value = lift(input)
    place = normalize_axis("unsqueeze", dim, value.rank + 1)
    return wrap(reshape_to(value, (*value.sizes[:place], 1, *value.sizes[place:])))


@tensor_function(views=True)
def expand_dims(input: TensorLike, axis: int | Sequence[int]) -> Tensor:
    """`input` with new axes of size 1 at the places `axis` of the result (NumPy's)."""
    value = lift(input)
    new = 1 if isinstance(axis, int) else len(axis)
    places = normalize_axes("expand_dims", axis, value.rank + new)
    sizes = iter(value.sizes)
    return wrap(reshape_to(value, [1 if i in places else next(sizes) for i in range(value.rank + new)]))


@tensor_function(views=True)
def broadcast_to(input: TensorLike, *size: int | Sequence[int]) -> Tensor:
    """`input` repeated to `size`, axes aligned at the end; `ShapeError` where a size is neither 1 nor the same."""
    value, sizes = lift(input), shape_argument("broadcast_to", size)
    if broadcast_shape("broadcast_to", value.sizes, sizes) != sizes:
        raise ShapeError(f"broadcast_to: {value.type} does not broadcast to {sizes}", where=here())
    return wrap(expand_to(value, sizes))


@tensor_function(views=True)
def expand(input: TensorLike, *sizes: int | Sequence[int]) -> Tensor:
    """`broadcast_to`, where -1 keeps an axis as it is (PyTorch's)."""
    value, given = lift(input), shape_argument("expand", sizes)
    lead = len(given) - value.rank
    if lead < 0 or -1 in given[:lead]:
        raise ShapeError(f"expand: {value.type} does not expand to {given}", where=here())
    shape = (value.sizes[i - lead] if size == -1 else size for i, size in enumerate(given))
    return broadcast_to(input, tuple(shape))


@tensor_function
def concatenate(tensors: Sequence[TensorLike], dim: int | None = None, *, axis: int | None = None) -> Tensor:
    """The tensors one after another along an axis (0 by default); their other sizes must agree.

    Vectors without elements go with tensors of any shape, as in PyTorch.
    """
    return _joined("concatenate", tensors, either("concatenate", dim, axis))


@tensor_function
def cat(tensors: Sequence[TensorLike], dim: int | None = None, *, axis: int | None = None) -> Tensor:
    """`concatenate` by PyTorch's short name."""
    return _joined("cat", tensors, either("cat", dim, axis))


def _joined(name: str, tensors: Sequence[TensorLike], axis: Axes) -> Tensor:
    given = promoted(*tensors)
    if not given:
        raise ArgumentError(f"{name}: there is nothing to join", where=here())
    values = [value for value in given if value.sizes != (0,)] or given[:1]
    place = require_axis(name, axis, values[0].rank, default=0)
    for value in values[1:]:
        agrees = value.rank == values[0].rank and all(
            i == place or a == b for i, (a, b) in enumerate(zip(values[0].sizes, value.sizes, strict=True))
        )
        if not agrees:
            raise ShapeError(
                f"{name}: {values[0].type} and {value.type} differ in an axis other than {place}", where=here()
            )
    return wrap(values[0] if len(values) == 1 else ops.concatenate(values, place))


@tensor_function
def stack(tensors: Sequence[TensorLike], dim: int | None = None, *, axis: int | None = None) -> Tensor:
    """The tensors, of one shape, along a new axis (0 by default)."""
    values = promoted(*tensors)
    if not values:
        raise ArgumentError("stack: there is nothing to join", where=here())
    place = require_axis("stack", either("stack", dim, axis), values[0].rank + 1, default=0)
    for value in values:
        if value.sizes != values[0].sizes:
            raise ShapeError(f"stack: {values[0].type} and {value.type} differ in shape", where=here())
    shape = (*values[0].sizes[:place], 1, *values[0].sizes[place:])
    return wrap(ops.concatenate([ops.reshape(value, shape) for value in values], place))


def sliced(x: Var, axis: int, start: int, stop: int) -> Var:
    """Positions `start` to before `stop` along one axis."""
    low, high = [0] * x.rank, list(x.sizes)
    if (start, stop) == (0, high[axis]):
        return x
    low[axis], high[axis] = start, stop
    return ops.slice_(x, low, high)


@tensor_function(views=True)
def split(
    input: TensorLike, split_size_or_sections: int | Sequence[int], dim: int = 0, *, axis: int | None = None
) -> tuple[Tensor, ...]:
    """Pieces of `input` along an axis: of the given size, the last maybe smaller, or of the given sizes (PyTorch's)."""
    value = lift(input)
    place = normalize_axis("split", dim if axis is None else axis, value.rank)
    length = value.sizes[place]
    if isinstance(split_size_or_sections, Sequence):
        sizes = [size_argument("split", size) for size in split_size_or_sections]
        if math.fsum(sizes) != length or any(size < 0 for size in sizes):
            raise ShapeError(f"split: sizes {sizes} do not add up to {length}", where=here())
    else:
        size = size_argument("split", split_size_or_sections)
        if size <= 0:
            raise ArgumentError(f"split: the size is {size}, not positive", where=here())
        sizes = [min(size, length - start) for start in range(0, length, size)] or [0]
    return tuple(wrap(piece) for piece in _pieces(value, place, sizes))


def _pieces(x: Var, axis: int, sizes: Sequence[int]) -> list[Var]:
    starts = [0, *np.cumsum(sizes).tolist()]
    return [sliced(x, axis, start, start + size) for start, size in zip(starts, sizes, strict=False)]


@tensor_function(views=True)
def chunk(input: TensorLike, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """At most `chunks` pieces of equal size along an axis, the last maybe smaller."""
    value = lift(input)
    length = value.sizes[normalize_axis("chunk", dim, value.rank)]
    if (count := integer_argument("chunk", "the number of chunks", chunks)) < 1:
        raise ArgumentError(f"chunk: the number of chunks is {count}, not positive", where=here())
    return split(input, max(1, -(-length // count)), dim)


@tensor_function
def flip(input: TensorLike, dims: Axes = None, *, axis: Axes = None) -> Tensor:
    """`input` reversed along axes; along all by default."""
    value = lift(input)
    axes = normalize_axes("flip", either("flip", dims, axis), value.rank)
    return wrap(ops.reverse(value, axes) if axes else value)


@tensor_function
def roll(input: TensorLike, shifts: int | Sequence[int], dims: Axes = None, *, axis: Axes = None) -> Tensor:
    """`input` moved by `shifts` along axes, what leaves at the end coming in at the start; flattened where none is
    given."""
    value, axes = lift(input), either("roll", dims, axis)
    if axes is None:
        flat = reshape_to(value, (math.prod(value.sizes),))
        return wrap(reshape_to(_rolled(flat, 0, shifts), value.sizes))
    along = tuple(axes) if isinstance(axes, Sequence) else (axes,)  # an axis may be there twice
    amounts = tuple(shifts) if isinstance(shifts, Sequence) else (shifts,) * len(along)
    if len(amounts) != len(along):
        raise ArgumentError(f"roll: {len(amounts)} shifts for {len(along)} axes", where=here())
    for each, amount in zip(along, amounts, strict=True):
        place = normalize_axis("roll", each, max(value.rank, 1))
        value = _rolled(value, place, amount) if value.rank else value
    return wrap(value)


def _rolled(x: Var, axis: int, shift: object) -> Var:
    length = x.sizes[axis]
    cut = -integer_argument("roll", "the shift", shift) % length if length else 0
    if cut == 0:
        return x
    return ops.concatenate([sliced(x, axis, cut, length), sliced(x, axis, 0, cut)], axis)


@tensor_function
def tile(input: TensorLike, dims: int | Sequence[int]) -> Tensor:
    """`input` repeated `dims` times along each axis; as many axes as the longer of the two has."""
    value = lift(input)
    counts = (dims,) if isinstance(dims, int) else tuple(dims)
    rank = max(value.rank, len(counts))
    counts = (1,) * (rank - len(counts)) + counts
    sizes = (1,) * (rank - value.rank) + value.sizes
    interleaved = tuple(n for pair in zip(counts, sizes, strict=True) for n in pair)
    repeated = ops.broadcast_in_dim(reshape_to(value, sizes), interleaved, range(1, 2 * rank, 2))
    return wrap(reshape_to(repeated, [n * r for n, r in zip(sizes, counts, strict=True)]))


@tensor_function
def repeat_interleave(input: TensorLike, repeats: int, dim: int | None = None, *, axis: int | None = None) -> Tensor:
    """Each position along an axis (of the flattened tensor by default) `repeats` times in a row."""
    value, given = lift(input), either("repeat_interleave", dim, axis)
    if given is None:
        value, given = reshape_to(value, (math.prod(value.sizes),)), 0
    place = require_axis("repeat_interleave", given, value.rank)
    sizes = value.sizes
    wide = (*sizes[: place + 1], repeats, *sizes[place + 1 :])
    axes = [i for i in range(value.rank + 1) if i != place + 1]
    repeated = ops.broadcast_in_dim(value, wide, axes)
    return wrap(reshape_to(repeated, (*sizes[:place], sizes[place] * repeats, *sizes[place + 1 :])))


@tensor_function
def pad(
    input: TensorLike,
    pad: Sequence[int] | Sequence[Sequence[int]] | int,
    mode: str = "constant",
    value: Scalar = 0,
) -> Tensor:
    """`input` with its edges widened.

    `pad` is a flat list of (before, after) counts from the last axis backward (PyTorch's), or a list of such pairs
    for all axes in order, or one number for every edge (NumPy's).  The new elements are `value`, or by `mode`
    those that `numpy.pad` takes: `edge` (PyTorch's `replicate`), `reflect`, `wrap` (`circular`), `symmetric`.
    """
    tensor = lift(input)
    widths = _widths(tensor, pad)
    if mode == "constant":
        filler = lift(value, tensor.dtype)
        if widths and any(low or high for low, high in widths):
            tensor = ops.pad(tensor, filler, [low for low, _ in widths], [high for _, high in widths])
        return wrap(tensor)
    modes = {"edge": "edge", "replicate": "edge", "reflect": "reflect", "wrap": "wrap", "circular": "wrap"}
    modes["symmetric"] = "symmetric"
    if mode not in modes:
        raise ArgumentError(f"pad: there is no mode {mode!r}", where=here(), mend=f"use one of {', '.join(modes)}")
    for axis, (low, high) in enumerate(widths):
        tensor = _pad_from_within(tensor, axis, low, high, modes[mode])
    return wrap(tensor)


def _widths(x: Var, pad: Sequence[int] | Sequence[Sequence[int]] | int) -> list[tuple[int, int]]:
    if isinstance(pad, int):
        return [(pad, pad)] * x.rank
    if all(isinstance(item, Sequence) for item in pad):
        pairs = [tuple(item) for item in cast("Sequence[Sequence[int]]", pad)]
        if len(pairs) != x.rank or any(len(pair) != 2 for pair in pairs):
            raise ArgumentError(f"pad: {pairs} are not (before, after) for {x.rank} axes", where=here())
        return [(pair[0], pair[1]) for pair in pairs]
    flat = [size_argument("pad", item) for item in pad]
    if len(flat) % 2 or len(flat) > 2 * x.rank:
        raise ArgumentError(f"pad: {flat} are not pairs for at most {x.rank} axes", where=here())
    given = list(zip(flat[::2], flat[1::2], strict=True))[::-1]
    return [(0, 0)] * (x.rank - len(given)) + given


def _pad_from_within(x: Var, axis: int, low: int, high: int, mode: str) -> Var:
    """One axis widened by positions of itself, as `numpy.pad` chooses them; neighbours are cut out together."""
    if low == high == 0:
        return x
    numpy_pad: Callable[..., Array] = np.pad
    places = numpy_pad(np.arange(x.sizes[axis]), (low, high), mode)
    runs = np.split(places, np.flatnonzero(np.diff(places) != 1) + 1)
    return ops.concatenate([sliced(x, axis, int(run[0]), int(run[-1]) + 1) for run in runs], axis)


@tensor_function(views=True)
def diagonal(input: TensorLike, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """The diagonal of two axes, as the last axis of the result: a strided slice of the flattened pair."""
    value = lift(input)
    first = normalize_axis("diagonal", dim1, value.rank)
    second = normalize_axis("diagonal", dim2, value.rank)
    if first == second:
        raise ArgumentError("diagonal: dim1 and dim2 are the same axis", where=here())
    rest = [axis for axis in range(value.rank) if axis not in (first, second)]
    moved = permuted(value, [*rest, first, second])
    return wrap(_last_diagonal(moved, offset))


def _last_diagonal(x: Var, offset: int) -> Var:
    *rest, rows, columns = x.sizes
    length = max(0, min(rows + min(offset, 0), columns - max(offset, 0)))
    start = offset if offset >= 0 else -offset * columns
    flat = reshape_to(x, (*rest, rows * columns))
    if length == 0:
        return ops.slice_(flat, [0] * flat.rank, (*rest, 0))
    stop = start + (length - 1) * (columns + 1) + 1
    return ops.slice_(flat, (*[0] * len(rest), start), (*rest, stop), (*[1] * len(rest), columns + 1))
