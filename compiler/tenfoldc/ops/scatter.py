"""`scatter`: updates combined into a copy of the inputs at indices that the program computes.

Dimension numbers are StableHLO's (spec v1.x, "scatter").  An update element whose place lies outside the
inputs is dropped.  Updates are applied in the row-major order of their index vectors, so of several that
replace one element the last wins.  Derivatives are in `tenfoldc.ops.indexed`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

import numpy as np

from tenfold_rt.errors import ArgumentError, DTypeError, ShapeError, UnsupportedError
from tenfold_rt.frozen import frozen
from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ir.core import Attributes, Region
from tenfoldc.ir.op import Array, Kind, Op, RegionFunction, Site
from tenfoldc.ir.types import TensorType
from tenfoldc.ops.broadcast import add_batch_axis, check_axes
from tenfoldc.ops.gather import check_batching, check_indices, clamped, index_vectors, other_axes, shifted
from tenfoldc.ops.reducer import Body, build_body, check_body

Selection: TypeAlias = tuple[int | slice, ...]


@frozen
class ScatterDimensionNumbers:
    """How the axes of inputs, indices and updates of a scatter correspond, named as in StableHLO."""

    update_window_dims: tuple[int, ...] = ()
    inserted_window_dims: tuple[int, ...] = ()
    input_batching_dims: tuple[int, ...] = ()
    scatter_indices_batching_dims: tuple[int, ...] = ()
    scatter_dims_to_operand_dims: tuple[int, ...] = ()
    index_vector_dim: int = 0


@frozen
class ScatterAttributes(Attributes):
    scatter_dimension_numbers: ScatterDimensionNumbers
    indices_are_sorted: bool = False
    unique_indices: bool = False


# --- type rule and reference ------------------------------------------------------------------------


def window_axes(numbers: ScatterDimensionNumbers, rank: int) -> tuple[int, ...]:
    """The axes of inputs of `rank` that an update window spans, in the order of `update_window_dims`."""
    return other_axes(rank, numbers.inserted_window_dims, numbers.input_batching_dims)


def window_sizes(numbers: ScatterDimensionNumbers, rank: int, updates: TensorType) -> tuple[int, ...]:
    """The size of an update window along each axis of the inputs, which have `rank`."""
    sizes = [1] * rank
    for axis, update_axis in zip(window_axes(numbers, rank), numbers.update_window_dims, strict=True):
        size = updates.shape[update_axis]
        if not isinstance(size, int):
            raise UnsupportedError(f"scatter: the window size {size} (updates, axis {update_axis}) is symbolic")
        sizes[axis] = size
    return tuple(sizes)


def _infer(
    types: Sequence[TensorType], attributes: ScatterAttributes, regions: Sequence[Region]
) -> tuple[TensorType, ...]:
    if len(types) % 2 == 0 or len(types) < 3:
        raise ArgumentError(f"scatter: {len(types)} operands given, wanted inputs, indices and as many updates")
    count = len(types) // 2
    inputs, indices, updates = types[:count], types[count], types[count + 1 :]
    numbers, rank = attributes.scatter_dimension_numbers, inputs[0].rank
    inserted, batching = numbers.inserted_window_dims, numbers.input_batching_dims
    check_axes("scatter", "inserted_window_dims and input_batching_dims", (*inserted, *batching), rank)
    indexed = (*numbers.scatter_dims_to_operand_dims, *batching)
    check_axes("scatter", "scatter_dims_to_operand_dims and input_batching_dims", indexed, rank)
    check_indices("scatter", indices, numbers.index_vector_dim, len(numbers.scatter_dims_to_operand_dims))
    check_batching(
        "scatter",
        inputs[0],
        indices,
        batching,
        numbers.scatter_indices_batching_dims,
        numbers.index_vector_dim,
    )
    for number, (given, update) in enumerate(zip(inputs, updates, strict=True)):
        if given.shape != inputs[0].shape:
            raise ShapeError(f"scatter: shapes differ, {inputs[0]} (input 0) and {given} (input {number})")
        if given.dtype != update.dtype:
            raise DTypeError(f"scatter: input {number} is {given}, its updates are {update}; dtypes must agree")
        _check_updates(numbers, given, indices, update)
    (region,) = regions
    check_body("scatter", [TensorType(given.dtype) for given in inputs], region)
    return tuple(inputs)


def _check_updates(
    numbers: ScatterDimensionNumbers, given: TensorType, indices: TensorType, updates: TensorType
) -> None:
    windows = window_axes(numbers, given.rank)
    if len(windows) != len(numbers.update_window_dims):
        raise ShapeError(
            f"scatter: {len(numbers.update_window_dims)} update_window_dims for {len(windows)} window axes"
        )
    check_axes("scatter", "update_window_dims", numbers.update_window_dims, updates.rank)
    if list(numbers.update_window_dims) != sorted(numbers.update_window_dims):
        raise ArgumentError(f"scatter: update_window_dims {list(numbers.update_window_dims)} do not ascend")
    for axis, update_axis in zip(windows, numbers.update_window_dims, strict=True):
        window, size = updates.shape[update_axis], given.shape[axis]
        if window != size and not (isinstance(window, int) and isinstance(size, int) and window < size):
            raise ShapeError(
                f"scatter: window size {window} (updates, axis {update_axis}) exceeds {size} (input, axis {axis})"
            )
    scattered = tuple(updates.shape[axis] for axis in other_axes(updates.rank, numbers.update_window_dims))
    wanted = tuple(indices.shape[axis] for axis in other_axes(indices.rank, (numbers.index_vector_dim,)))
    if scattered != wanted:
        given_sizes, want = (", ".join(map(str, sizes)) for sizes in (scattered, wanted))
        raise ShapeError(f"scatter: updates {updates} hold ({given_sizes}) windows, the indices ({want}) vectors")


def _reference(
    arrays: Sequence[Array], attributes: ScatterAttributes, functions: Sequence[RegionFunction]
) -> Sequence[Array]:
    (body,), numbers = functions, attributes.scatter_dimension_numbers
    count = len(arrays) // 2
    results, updates = [x.copy() for x in arrays[:count]], arrays[count + 1 :]
    for target, source in _overlaps(numbers, results[0].shape, arrays[count], updates[0].shape):
        values = body(*(result[target] for result in results), *(update[source] for update in updates))
        for result, value in zip(results, values, strict=True):
            result[target] = value
    return results


def _overlaps(
    numbers: ScatterDimensionNumbers, shape: tuple[int, ...], indices: Array, updates: tuple[int, ...]
) -> Iterator[tuple[Selection, Selection]]:
    """For each index vector, the part of the inputs that its window covers and the updates for it."""
    vectors = index_vectors(indices, numbers.index_vector_dim)
    windows = window_axes(numbers, len(shape))
    scatter_axes = other_axes(len(updates), numbers.update_window_dims)
    index_axes = other_axes(indices.ndim, (numbers.index_vector_dim,))
    sizes = dict.fromkeys(range(len(shape)), 1)
    sizes |= {axis: updates[at] for axis, at in zip(windows, numbers.update_window_dims, strict=True)}
    starts = {
        axis: clamped(vectors[..., number], -sizes[axis], shape[axis])
        for number, axis in enumerate(numbers.scatter_dims_to_operand_dims)
    }
    batching = dict(zip(numbers.input_batching_dims, numbers.scatter_indices_batching_dims, strict=True))
    for position in np.ndindex(vectors.shape[:-1]):
        target: list[int | slice] = []
        source: list[int | slice] = [0] * len(updates)
        for axis, step in zip(scatter_axes, position, strict=True):
            source[axis] = step
        empty = False
        for axis, extent in enumerate(shape):
            start = int(starts[axis][position]) if axis in starts else 0
            if axis in batching:
                start = position[index_axes.index(batching[axis])]
            inside = range(max(0, start), min(start + sizes[axis], extent))
            empty = empty or not inside
            target.append(slice(inside.start, inside.stop) if axis in windows else start)
            if axis in windows:
                at = numbers.update_window_dims[windows.index(axis)]
                source[at] = slice(inside.start - start, inside.stop - start)
        if not empty:
            yield tuple(target), tuple(source)


SCATTER = Op(
    "scatter",
    Kind.INDEXED,
    attributes=ScatterAttributes,
    infer=_infer,
    reference=_reference,
)


def scatter(
    inputs: Sequence[Var],
    indices: Var,
    updates: Sequence[Var],
    body: Body,
    dimension_numbers: ScatterDimensionNumbers,
    indices_are_sorted: bool = False,
    unique_indices: bool = False,
) -> tuple[Var, ...]:
    """Copies of `inputs` where `body` has combined each element with the `updates` that fall on it.

    `body(*elements, *updates)` takes the current element of every input, then one of each of the updates, and
    gives the new elements, all scalars.
    Places outside the inputs are dropped; updates are applied in the row-major order of `indices`.
    `unique_indices` promises that no two updates fall on one element.  Raises `ShapeError`, `DTypeError` or
    `ArgumentError` where the dimension numbers do not fit the operands.
    """
    attributes = ScatterAttributes(dimension_numbers, indices_are_sorted, unique_indices)
    region = build_body("scatter", [x.type for x in inputs], body, indices.builder)
    return SCATTER.apply(*inputs, indices, *updates, attributes=attributes, regions=(region,))


def scatter_with(
    operand: Var,
    indices: Var,
    updates: Var,
    attributes: ScatterAttributes,
    combine: Callable[[Var, Var], Var],
) -> Var:
    """`scatter` of one operand with `combine(element, update)` as its body."""

    def body(old: Var, new: Var) -> tuple[Var]:
        return (combine(old, new),)

    region = build_body("scatter", [operand.type], body, operand.builder)
    return SCATTER.apply_one(operand, indices, updates, attributes=attributes, regions=(region,))


def replace(_: Var, new: Var) -> Var:
    """The body of a scatter that overwrites."""
    return new


def scatter_add(
    operand: Var,
    indices: Var,
    updates: Var,
    dimension_numbers: ScatterDimensionNumbers,
    indices_are_sorted: bool = False,
    unique_indices: bool = False,
) -> Var:
    """`operand` with `updates` added at `indices`: `scatter` with an addition as its body."""
    attributes = ScatterAttributes(dimension_numbers, indices_are_sorted, unique_indices)
    return scatter_with(operand, indices, updates, attributes, ops.add)


def scatter_set(
    operand: Var,
    indices: Var,
    updates: Var,
    dimension_numbers: ScatterDimensionNumbers,
    indices_are_sorted: bool = False,
    unique_indices: bool = False,
) -> Var:
    """`operand` with elements at `indices` replaced by `updates`; of several for one place the last wins."""
    attributes = ScatterAttributes(dimension_numbers, indices_are_sorted, unique_indices)
    return scatter_with(operand, indices, updates, attributes, replace)


@SCATTER.batch
def _(site: Site[ScatterAttributes], batched: Sequence[bool], size: int) -> tuple[Sequence[Var], Sequence[bool]]:
    """Where the indices are batched the batch axis is a batching axis, else one more axis of the windows."""
    count = len(site.operands) // 2
    by_index = batched[count]
    operands = [
        x if flag or number == count else add_batch_axis(x, size)
        for number, (x, flag) in enumerate(zip(site.operands, batched, strict=True))
    ]
    old = site.attributes.scatter_dimension_numbers
    windows = shifted(old.update_window_dims)
    numbers = ScatterDimensionNumbers(
        update_window_dims=windows if by_index else (0, *windows),
        inserted_window_dims=shifted(old.inserted_window_dims),
        input_batching_dims=(0,) * by_index + shifted(old.input_batching_dims),
        scatter_indices_batching_dims=(0, *shifted(old.scatter_indices_batching_dims))
        if by_index
        else old.scatter_indices_batching_dims,
        scatter_dims_to_operand_dims=shifted(old.scatter_dims_to_operand_dims),
        index_vector_dim=old.index_vector_dim + by_index,
    )
    attributes = ScatterAttributes(
        numbers,
        site.attributes.indices_are_sorted and not by_index,
        site.attributes.unique_indices,
    )
    return SCATTER.apply(*operands, attributes=attributes, regions=site.regions), (True,) * count
