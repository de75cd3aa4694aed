"""Moving whole buffers: copies and in-place updates, where nothing is computed."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tenfoldc.ir.core import Operation, Value
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Axis, Buffer, Expr, Load, Statement, Store
from tenfoldc.lower.context import LoweringContext
from tenfoldc.lower.loop_nest import nest, turns
from tenfoldc.lower.storage import Storage
from tenfoldc.ops.slicing import ConcatenateAttributes


def copy_value(storage: Storage, value: Value, target: Buffer) -> list[Statement]:
    """Fill `target` with a value that is in memory, or with a constant."""
    splat = storage.splat(value)
    if splat is not None:
        return fill(storage, target, splat)
    return copy_buffer(storage, storage.buffer(value), target)


def copy_buffer(storage: Storage, source: Buffer, target: Buffer) -> list[Statement]:
    """Fill `target` with `source`, element by element in memory order."""
    if math.prod(target.shape) == 1:
        origin = (scalar.index(0),) * len(target.shape)
        return [Store(target, origin, Load(source, (scalar.index(0),) * len(source.shape)))]
    axis = Axis("i")
    store = Store(storage.flat(target), (axis,), Load(storage.flat(source), (axis,)))
    return [turns(axis, scalar.index(math.prod(target.shape)), (store,))]


def fill(storage: Storage, target: Buffer, value: Expr) -> list[Statement]:
    """Fill `target` with one scalar."""
    axis = Axis("i")
    return [turns(axis, scalar.index(math.prod(target.shape)), (Store(storage.flat(target), (axis,), value),))]


def lower_concatenate(operation: Operation, ctx: LoweringContext) -> Sequence[Statement]:
    """A `concatenate` as a loop nest per operand."""
    attributes = operation.attributes
    assert isinstance(attributes, ConcatenateAttributes)
    dimension, first = attributes.dimension, 0
    statements: list[Statement] = []
    for number, operand in enumerate(operation.operands):

        def move(index: tuple[Expr, ...], number: int = number, first: int = first) -> Sequence[Statement]:
            moved = scalar.add(index[dimension], scalar.index(first))
            return ctx.write((*index[:dimension], moved, *index[dimension + 1 :]), ctx.read(number, index))

        statements += nest(ctx, operand.type.sizes, move, private=())
        first += operand.type.sizes[dimension]
    return statements


def lower_update(operation: Operation, ctx: LoweringContext, in_place: bool) -> Sequence[Statement]:
    """A `dynamic_update_slice` as a copy of the operand, unless it is updated in place, and a store of the update."""
    whole, update = (operand.type for operand in operation.operands[:2])
    statements: list[Statement] = []
    if not in_place:
        axes = [ctx.axis("i", size) for size in whole.sizes]
        body: Sequence[Statement] = ctx.write(axes, ctx.read(0, axes))
        for axis, size in zip(reversed(axes), reversed(whole.sizes), strict=True):
            body = [turns(axis, scalar.index(size), body)]
        statements.extend(body)
    axes = [ctx.axis("u", size) for size in update.sizes]
    index: list[Expr] = []
    for number, (axis, size, taken) in enumerate(zip(axes, whole.sizes, update.sizes, strict=True)):
        index.append(scalar.add(_start(ctx.read(number + 2, ()), size - taken), axis))
    body = ctx.write(index, ctx.read(1, axes))
    for axis, size in zip(reversed(axes), reversed(update.sizes), strict=True):
        body = [turns(axis, scalar.index(size), body)]
    return [*statements, *body]


def _start(value: Expr, last: int) -> Expr:
    """A start moved into 0 to `last`."""
    if value.dtype.is_unsigned and last < 2**value.dtype.bits:
        value = scalar.minimum(value, scalar.constant(last, value.dtype))
    position = scalar.convert(value, scalar.index(0).dtype)
    return scalar.maximum(scalar.index(0), scalar.minimum(position, scalar.index(last)))
