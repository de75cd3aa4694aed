"""Layouts of views: where in a storage the elements of a tensor lie, and the way through a region of moving ops.

A region that reshapes, transposes, slices or repeats its parameter gives a view: `layout_through` says where the
elements of its result lie, and `put_through` is the region that puts other elements there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tenfold_rt import dtypes
from tenfold_rt.errors import ArgumentError
from tenfold_rt.frozen import frozen
from tenfoldc import ops
from tenfoldc.ir.builder import Builder, Var
from tenfoldc.ir.core import Operation, Region, Value
from tenfoldc.ops.broadcast import BROADCAST_IN_DIM
from tenfoldc.ops.movement import RESHAPE, TRANSPOSE
from tenfoldc.ops.slicing import SLICE


@frozen
class Layout:
    """Sizes, strides and the place of the first element, counted in elements of the storage."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int = 0

    @staticmethod
    def dense(shape: Sequence[int]) -> Layout:
        """Rows after rows."""
        return Layout(tuple(shape), dense_strides(shape))

    @property
    def is_dense(self) -> bool:
        """Whether the elements lie one after another in row-major order."""
        return all(
            size == 1 or stride == wanted
            for size, stride, wanted in zip(self.shape, self.strides, dense_strides(self.shape), strict=True)
        ) or 0 in self.shape  # fmt: skip


def dense_strides(shape: Sequence[int]) -> tuple[int, ...]:
    """Strides of a dense tensor; an axis of size 0 counts as one of size 1."""
    strides: list[int] = []
    step = 1
    for size in reversed(shape):
        strides.append(step)
        step *= max(size, 1)
    return tuple(reversed(strides))


def layout_through(region: Region, place: int, layout: Layout) -> Layout | None:
    """The layout of a result of `region`, whose first parameter has `layout`; None where it is no view."""
    known: dict[Value, Layout] = {region.parameters[0]: layout}
    for operation in region.operations:
        rule = _LAYOUTS.get(operation.op)
        given = known.get(operation.operands[0]) if operation.operands else None
        found = None if rule is None or given is None else rule(operation, given)
        if found is not None:
            known[operation.results[0]] = found
    return known.get(region.results[place])


def of_first_parameter(region: Region, place: int) -> Region:
    """The part of `region` that gives a result which depends on the first parameter alone."""
    needed = {region.results[place]}
    operations: list[Operation] = []
    for operation in reversed(region.operations):
        if not needed.isdisjoint(operation.results):
            needed.update(operation.operands)
            operations.append(operation)
    return Region(region.parameters[:1], tuple(reversed(operations)), (region.results[place],))


def _transposed(operation: Operation, given: Layout) -> Layout:
    order: Sequence[int] = _attributes(operation).permutation
    shape, strides = tuple(given.shape[n] for n in order), tuple(given.strides[n] for n in order)
    return Layout(shape, strides, given.offset)


def _sliced(operation: Operation, given: Layout) -> Layout:
    attributes = _attributes(operation)
    shape: tuple[int, ...] = operation.results[0].type.sizes
    strides = tuple(a * b for a, b in zip(given.strides, attributes.strides, strict=True))
    skipped = sum(a * b for a, b in zip(given.strides, attributes.start_indices, strict=True))
    return Layout(shape, strides, given.offset + skipped)


def _repeated(operation: Operation, given: Layout) -> Layout:
    shape: tuple[int, ...] = operation.results[0].type.sizes
    strides = [0] * len(shape)
    for axis, to in enumerate(_attributes(operation).broadcast_dimensions):
        strides[to] = given.strides[axis] if given.shape[axis] == shape[to] else 0
    return Layout(shape, tuple(strides), given.offset)


def _reshaped(operation: Operation, given: Layout) -> Layout | None:
    shape: tuple[int, ...] = operation.results[0].type.sizes
    if 0 in shape:
        return Layout(shape, dense_strides(shape), given.offset)
    strides = _strides_of_reshaped(given, shape)
    return None if strides is None else Layout(shape, strides, given.offset)


def _strides_of_reshaped(given: Layout, shape: Sequence[int]) -> tuple[int, ...] | None:
    """Strides of `shape` over the same elements in the same order; None where there are none.

    Axes are gone through from the last; those that lie one after another in memory count as one.
    """
    strides: list[int] = [0] * len(shape)
    axis = len(shape) - 1
    old = [(size, stride) for size, stride in zip(given.shape, given.strides, strict=True) if size != 1]
    step = 1
    while old:
        size, step = old.pop()
        chunk, first = size, step
        while old and old[-1][1] == chunk * first:
            chunk *= old.pop()[0]
        rest = chunk
        while rest > 1:
            if axis < 0:
                return None
            if rest % shape[axis]:
                return None
            strides[axis] = step
            step *= shape[axis]
            rest //= shape[axis]
            axis -= 1
    while axis >= 0:
        if shape[axis] != 1:
            return None
        strides[axis] = step
        axis -= 1
    return tuple(strides)


def _attributes(operation: Operation) -> Any:
    return operation.attributes


_LAYOUTS: dict[Any, Callable[[Operation, Layout], Layout | None]] = {
    RESHAPE: _reshaped,
    TRANSPOSE: _transposed,
    SLICE: _sliced,
    BROADCAST_IN_DIM: _repeated,
}


def put_through(region: Region, place: int) -> Region:
    """From the parameter of `region` and other elements for a result: the parameter with these put in their places."""
    producers = {operation.results[0]: operation for operation in region.operations if operation.results}
    builder = Builder()
    source = builder.parameter(region.parameters[0].type)
    elements = builder.parameter(region.results[place].type)
    path: list[Operation] = []
    value = region.results[place]
    while value is not region.parameters[0]:
        path.append(producers[value])
        value = producers[value].operands[0]
    given: list[Var] = [source]
    for operation in reversed(path):
        given.append(builder.emit(operation.op, [given[-1]], operation.attributes)[0])
    put = elements
    for operation, before in zip(path, given[-2::-1], strict=True):
        put = _PUTS[operation.op](operation, before, put)
    return builder.region([source, elements], [put])


def _put_reshaped(_: Operation, given: Var, put: Var) -> Var:
    return ops.reshape(put, given.sizes)


def _put_transposed(operation: Operation, given: Var, put: Var) -> Var:
    order: Sequence[int] = _attributes(operation).permutation
    return ops.transpose(put, tuple(sorted(range(len(order)), key=order.__getitem__)))


def _put_sliced(operation: Operation, given: Var, put: Var) -> Var:
    attributes = _attributes(operation)
    if 0 in put.sizes:
        return given
    starts: Sequence[int] = attributes.start_indices
    if all(step == 1 for step in attributes.strides):
        return ops.dynamic_update_slice(given, put, [_index(given.builder, start) for start in starts])
    gaps = [step - 1 for step in attributes.strides]
    spans = [(size - 1) * step + 1 for size, step in zip(put.sizes, attributes.strides, strict=True)]
    after = [size - start - span for size, start, span in zip(given.sizes, starts, spans, strict=True)]
    spread = ops.pad(put, ops.constant(given.builder, 0, put.dtype), starts, after, gaps)
    here = ops.full(given.builder, put.type.with_dtype(dtypes.bool_), True)
    mask = ops.pad(here, ops.constant(given.builder, False, dtypes.bool_), starts, after, gaps)
    return ops.select(mask, spread, given)


def _index(builder: Builder, number: int) -> Var:
    return ops.constant(builder, number, dtypes.i64)


def _put_repeated(operation: Operation, given: Var, put: Var) -> Var:
    if given.type.size == put.type.size:
        return ops.reshape(put, given.sizes)
    raise ArgumentError(
        "unsupported operation: more than one element of the written-to tensor refers to a single memory location",
        mend="clone() the tensor before it is changed in place",
    )


_PUTS: dict[Any, Callable[[Operation, Var, Var], Var]] = {
    RESHAPE: _put_reshaped,
    TRANSPOSE: _put_transposed,
    SLICE: _put_sliced,
    BROADCAST_IN_DIM: _put_repeated,
}
