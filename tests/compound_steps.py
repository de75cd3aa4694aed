"""Steps that extend a random program by what compilers fuse and lower in special ways: `COMPOUND_STEPS`.

Rows that are normalised, values with several readers, products over any axes, convolutions, windows, blocks of
indices, orders of several tensors, and loops and branches with several results.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st
from program_writer import LARGEST_TENSOR, Draw, Step, Writer, axis_of, has_axes, is_float

from tenfold_rt import dtypes
from tenfoldc import ops
from tenfoldc.ir.builder import Builder, Var, build_region
from tenfoldc.ir.core import Region
from tenfoldc.ir.types import TensorType
from tenfoldc.ops import Direction, Reducer


def _is_number(var: Var) -> bool:
    return not var.dtype.is_bool


def _along(x: Var, like: Var, axis: int) -> Var:
    """A value without axis `axis` of `like`, repeated along it."""
    return ops.broadcast_in_dim(x, like.shape, [other for other in range(like.rank) if other != axis])


# Rows, shared values, chains


def _softmax(draw: Draw, writer: Writer) -> None:
    x = writer.pick(lambda var: is_float(var) and var.rank > 0 and 0 not in var.sizes)
    if x is not None:
        axis = axis_of(draw, x)
        powers = ops.exponential(ops.subtract(x, _along(ops.reduce_max(x, (axis,)), x, axis)))
        total = ops.reduce_sum(powers, (axis,))
        writer.add(ops.divide(powers, _along(total, x, axis)), exact=False)
        if draw(st.booleans()):
            writer.add(ops.log(total), exact=False)


def _normalise(draw: Draw, writer: Writer) -> None:
    """Rows without their mean, divided by their deviation, as layer norm has it."""
    x = writer.pick(lambda var: is_float(var) and var.rank > 0 and 0 not in var.sizes)
    if x is None:
        return
    axis = axis_of(draw, x)
    count = ops.full_like(x, x.sizes[axis])
    centred = ops.subtract(x, ops.divide(_along(ops.reduce_sum(x, (axis,)), x, axis), count))
    variance = ops.divide(_along(ops.reduce_sum(ops.square(centred), (axis,)), x, axis), count)
    scaled = ops.multiply(centred, ops.rsqrt(ops.add(variance, ops.ones_like(variance))))
    weight = writer.constant(TensorType(x.dtype, (x.sizes[axis],)))
    writer.add(ops.multiply(scaled, ops.broadcast_in_dim(weight, x.shape, (axis,))), exact=False)


def _share(draw: Draw, writer: Writer) -> None:
    """An expensive value that is read in several ways, and perhaps a result itself."""
    x = writer.pick(lambda var: is_float(var) and var.rank > 0)
    if x is None:
        return
    y = writer.add(ops.tanh(ops.sine(x)), exact=False)
    readers = (
        lambda: ops.transpose(y, range(y.rank)[::-1]),
        lambda: ops.reduce_sum(y, (axis_of(draw, y),)),
        lambda: ops.reverse(y, (0,)),
        lambda: ops.add(y, ops.reverse(y, (y.rank - 1,))),
        lambda: ops.reshape(y, (y.type.size,)),
        lambda: ops.subtract(y, _along(ops.reduce_sum(y, (0,)), y, 0)),
    )
    for reader in draw(st.lists(st.sampled_from(readers), min_size=2, max_size=3)):
        writer.add(reader(), exact=False)


def _move_within_chain(draw: Draw, writer: Writer) -> None:
    """Elementwise operations with a transposition, a reshape or slices between them."""
    x = writer.pick(lambda var: _is_number(var) and var.rank > 0)
    if x is None:
        return
    first = ops.add(x, ops.ones_like(x))
    match draw(st.integers(0, 2)):
        case 0:
            moved = ops.transpose(ops.reshape(first, (*first.shape, 1)), range(first.rank + 1)[::-1])
        case 1:
            moved = ops.reshape(ops.transpose(first, range(first.rank)[::-1]), first.shape)
        case _:
            half = first.sizes[0] // 2
            rest = [(0, size) for size in first.sizes[1:]]
            parts = [(half, first.sizes[0]), (0, half)]
            cut = [ops.slice_(first, *zip(part, *rest, strict=True)) for part in parts]
            moved = ops.concatenate([cut[0], ops.negate(cut[1])], 0)
    writer.add(ops.multiply(moved, ops.full_like(moved, 2)), exact=writer.is_exact(x))


def _reduce_pair(draw: Draw, writer: Writer) -> None:
    """One reduction of two tensors with a body of its own, from initial values that are not neutral."""
    x = writer.pick(lambda var: _is_number(var) and var.rank > 0)
    if x is None:
        return
    y = writer.like(x)
    axes = sorted(draw(st.lists(st.integers(0, x.rank - 1), max_size=2, unique=True)))
    inits = [writer.constant(TensorType(x.dtype)) for _ in range(2)]

    def body(a: Var, b: Var, c: Var, d: Var) -> Sequence[Var]:
        return ops.add(a, c), ops.maximum(b, d)

    for result in ops.reduce([x, y], inits, axes, body):
        writer.add(result, exact=writer.is_exact(x, y))


# Products


def _dot(draw: Draw, writer: Writer) -> None:
    """A product over any axes, some of them batching, with a constant or with the value itself."""
    x = writer.pick(lambda var: _is_number(var) and var.rank > 0)
    if x is None:
        return
    axes = draw(st.permutations(range(x.rank)))
    contracting = draw(st.integers(0, x.rank))
    batching = draw(st.integers(contracting, x.rank))
    lhs_contracting, lhs_batching = axes[:contracting], axes[contracting:batching]
    if draw(st.booleans()):
        y, order = x, list(range(x.rank))
    else:
        order = draw(st.permutations([*lhs_contracting, *lhs_batching, -1]))
        columns = draw(st.sampled_from((1, 2, 9)))
        y = writer.constant(TensorType(x.dtype, tuple(columns if axis < 0 else x.sizes[axis] for axis in order)))
    free = [axis for axis in range(y.rank) if order[axis] not in axes[:batching]]
    kept = [size for axis, size in enumerate(x.sizes) if axis not in lhs_contracting]
    if np.prod(kept) * np.prod([y.sizes[axis] for axis in free]) <= LARGEST_TENSOR:
        numbers = {"lhs_contracting": lhs_contracting, "lhs_batching": lhs_batching}
        numbers |= {"rhs_contracting": [order.index(axis) for axis in lhs_contracting]}
        numbers |= {"rhs_batching": [order.index(axis) for axis in lhs_batching]}
        product = ops.dot_general(x, y, **numbers)
        if draw(st.booleans()):
            product = ops.maximum(product, ops.zeros_like(product))
        writer.add(product, exact=False)


def _convolve(draw: Draw, writer: Writer) -> None:
    x = writer.pick(lambda var: _is_number(var) and var.rank == 3)
    if x is None:
        return
    order = tuple(draw(st.permutations(range(3))))
    numbers = ops.ConvDimensionNumbers.of(order, (0, 1, 2), tuple(draw(st.permutations(range(3)))))
    features, window = x.sizes[order[1]], draw(st.integers(1, 3))
    kernel = writer.constant(TensorType(x.dtype, (draw(st.sampled_from((1, 4, 9))), features, window)))
    low, high = draw(st.integers(-1, 2)), draw(st.integers(0, 2))
    options = {
        "window_strides": (draw(st.integers(1, 2)),),
        "padding": ((low, high),),
        "lhs_dilation": (draw(st.integers(1, 2)),),
        "rhs_dilation": (draw(st.integers(1, 2)),),
        "window_reversal": (draw(st.booleans()),),
    }
    if x.sizes[order[2]] + low >= 0:
        result = ops.convolution(x, kernel, numbers, **options)
        if result.type.size <= LARGEST_TENSOR:
            writer.add(result, exact=False)


# Windows, indices, order


def _pool(draw: Draw, writer: Writer) -> None:
    x = writer.pick(lambda var: _is_number(var) and var.rank > 0)
    if x is not None:
        reducer = draw(st.sampled_from((Reducer.SUM, Reducer.MAX, Reducer.MIN)))
        finite = {Reducer.SUM: 0, Reducer.MAX: -8 if x.dtype.is_signed or is_float(x) else 0, Reducer.MIN: 8}
        init = ops.full(x.builder, TensorType(x.dtype), finite[reducer])
        per_axis = [[draw(st.integers(1, 3)) for _ in x.shape] for _ in range(4)]
        padding = [(draw(st.integers(0, 2)), draw(st.integers(0, 1))) for _ in x.shape]
        (result,) = ops.reduce_window([x], [init], ops.body_of(reducer), *per_axis, padding)
        if result.type.size <= LARGEST_TENSOR:
            writer.add(result, exact=writer.is_exact(x))


def _gather_blocks(draw: Draw, writer: Writer) -> None:
    """Blocks at pairs of indices, some of which are out of range: those are clamped."""
    x = writer.pick(lambda var: var.rank == 2 and 0 not in var.sizes)
    if x is not None:
        sizes = [draw(st.integers(1, min(size, 3))) for size in x.sizes]
        indices = writer.constant(TensorType(dtypes.i32, (2, draw(st.sampled_from((0, 1, 4))))))
        numbers = ops.GatherDimensionNumbers(
            offset_dims=(0, 2), start_index_map=tuple(draw(st.permutations((0, 1)))), index_vector_dim=0
        )
        writer.add(ops.gather(x, indices, numbers, sizes), exact=writer.is_exact(x))


def _scatter_blocks(draw: Draw, writer: Writer) -> None:
    """Blocks that replace or add at pairs of indices, some equal and some out of range: those are dropped."""
    x = writer.pick(lambda var: _is_number(var) and var.rank == 2)
    if x is not None:
        sizes = [draw(st.integers(0, min(size, 3))) for size in x.sizes]
        count = draw(st.sampled_from((0, 1, 4)))
        indices = writer.constant(TensorType(dtypes.i64, (count, 2)))
        updates = writer.constant(TensorType(x.dtype, (sizes[0], count, sizes[1])))
        numbers = ops.ScatterDimensionNumbers(
            update_window_dims=(0, 2), scatter_dims_to_operand_dims=(0, 1), index_vector_dim=1
        )
        scatter = draw(st.sampled_from((ops.scatter_add, ops.scatter_set)))
        writer.add(scatter(x, indices, updates, numbers), exact=writer.is_exact(x))


def _sort_pair(draw: Draw, writer: Writer) -> None:
    """A value in the order of a key, equal keys staying in order; the k largest."""
    x = writer.pick(lambda var: _is_number(var) and var.rank > 0 and writer.is_exact(var))
    if x is None:
        return
    y = writer.like(x, dtypes.f32)

    def comparator(a: Var, b: Var, *_: Var) -> Sequence[Var]:
        return (ops.compare(a, b, Direction.GT),)

    for result in ops.sort([x, y], axis_of(draw, x), True, comparator):
        writer.add(result, exact=writer.is_exact(x, y))
    for result in ops.top_k(x, draw(st.integers(0, x.sizes[-1]))):
        writer.add(result, exact=True)


# Control


def _branch(x: Var, *results: str) -> Region:
    inner = Builder()
    return inner.region([], [getattr(ops, name)(inner.var(x.value)) for name in results])


def _case(draw: Draw, writer: Writer) -> None:
    """A choice among one to three branches, the index perhaps out of range."""
    x = writer.pick(lambda var: is_float(var) or var.dtype.is_signed)
    if x is not None:
        index = writer.constant(TensorType(dtypes.i32))
        branches = [("negate", "abs_"), ("abs_", "sign"), ("sign", "negate")]
        chosen = [_branch(x, *names) for names in branches[: draw(st.integers(1, 3))]]
        for result in ops.case(index, chosen):
            writer.add(result, exact=writer.is_exact(x))


def _exchange(draw: Draw, writer: Writer) -> None:
    """A loop whose carries change places, one of them moved by what the turn computes."""
    x = writer.pick(lambda var: _is_number(var) and has_axes(var))
    if x is None:
        return
    y, turns = writer.like(x), draw(st.integers(0, 3))
    start = ops.constant(writer.builder, 0, dtypes.i32)

    def condition(turn: Var, *_: Var) -> Sequence[Var]:
        return (ops.compare(turn, ops.full_like(turn, turns), Direction.LT),)

    def body(turn: Var, a: Var, b: Var, c: Var) -> Sequence[Var]:
        return ops.add(turn, ops.ones_like(turn)), b, ops.reverse(a, (0,)), ops.maximum(c, b)

    carry = (start.type, x.type, x.type, x.type)
    regions = [build_region(carry, part, like=writer.builder) for part in (condition, body)]
    for result in ops.while_((start, x, y, x), *regions)[1:]:
        writer.add(result, exact=writer.is_exact(x, y))


COMPOUND_STEPS: tuple[Step, ...] = (
    *(_softmax, _normalise, _share, _move_within_chain, _reduce_pair, _dot, _convolve, _pool),
    *(_gather_blocks, _scatter_blocks, _sort_pair, _case, _exchange),
)
