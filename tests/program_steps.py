"""Steps that extend a random program by one operation or a few: `STEPS`, each `step(draw, writer)`."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from program_writer import (
    DTYPES,
    LARGEST_TENSOR,
    SIZES,
    Draw,
    Step,
    Writer,
    axis_of,
    has_axes,
    is_float,
    is_integer,
    types,
)

from tenfold_rt import dtypes
from tenfoldc import ops
from tenfoldc.ir.builder import Builder, Var, build_region
from tenfoldc.ir.core import Function
from tenfoldc.ir.types import TensorType

_EXACT_UNARY = ("negate", "abs_", "sign", "floor", "ceil", "round_nearest_even", "round_nearest_afz")
_SMOOTH_UNARY = ("exponential", "tanh", "logistic", "sine", "cosine", "square", "exponential_minus_one", "cbrt")
_INTEGER_UNARY = ("negate", "abs_", "not_", "popcnt", "count_leading_zeros", "sign")
_INTEGER_BINARY = (
    *("add", "subtract", "multiply", "divide", "remainder", "maximum", "minimum", "and_", "or_", "xor"),
    *("shift_left", "shift_right_arithmetic", "shift_right_logical"),
)


# Elementwise


def _float_unary(draw: Draw, writer: Writer) -> None:
    x = writer.pick(is_float)
    if x is None:
        return
    exact = writer.is_exact(x)
    name = draw(st.sampled_from(_SMOOTH_UNARY + (_EXACT_UNARY if exact else _EXACT_UNARY[:2])))
    if name.startswith("exponential") and np.abs(writer.arrays[x.value]).max(initial=0) > 4:
        x = ops.tanh(x)
    writer.add(getattr(ops, name)(x), exact=name in _EXACT_UNARY and exact)


def _positive_unary(draw: Draw, writer: Writer) -> None:
    """Functions of numbers of at least one."""
    x = writer.pick(is_float)
    if x is not None:
        positive = ops.add(ops.abs_(x), ops.ones_like(x))
        name = draw(st.sampled_from(("log", "sqrt", "rsqrt", "log_plus_one", "reciprocal")))
        writer.add(getattr(ops, name)(positive), exact=False)


def _float_binary(draw: Draw, writer: Writer) -> None:
    x = writer.pick(is_float)
    if x is None:
        return
    y = writer.like(x)
    name = draw(st.sampled_from(("add", "subtract", "multiply", "maximum", "minimum", "divide")))
    if name == "divide":
        y = ops.add(ops.abs_(y), ops.ones_like(y))
    writer.add(getattr(ops, name)(x, y), exact=name not in ("multiply", "divide") and writer.is_exact(x, y))


def _integer_unary(draw: Draw, writer: Writer) -> None:
    x = writer.pick(is_integer)
    if x is not None:
        signed_only = ("abs_", "sign", "negate")
        names = [name for name in _INTEGER_UNARY if x.dtype.is_signed or name not in signed_only]
        writer.add(getattr(ops, draw(st.sampled_from(names)))(x), exact=True)


def _integer_binary(draw: Draw, writer: Writer) -> None:
    x = writer.pick(is_integer)
    if x is not None:
        writer.add(getattr(ops, draw(st.sampled_from(_INTEGER_BINARY)))(x, writer.like(x)), exact=True)


def _logical(draw: Draw, writer: Writer) -> None:
    x = writer.pick(lambda var: var.dtype.is_bool)
    if x is not None:
        name = draw(st.sampled_from(("and_", "or_", "xor", "add", "multiply", "maximum", "minimum")))
        writer.add(getattr(ops, name)(x, writer.like(x)), exact=True)


def _compare(draw: Draw, writer: Writer) -> None:
    x = writer.pick(writer.is_exact)
    if x is not None:
        y = writer.like(x)
        if writer.is_exact(y):
            writer.add(ops.compare(x, y, draw(st.sampled_from(ops.Direction))), exact=True)


def _select(draw: Draw, writer: Writer) -> None:
    x = writer.pick()
    if x is not None:
        y = writer.like(x)
        pred = writer.like(x, dtypes.bool_)
        writer.add(ops.select(pred, x, y), exact=writer.is_exact(x, y))


def _clamp(draw: Draw, writer: Writer) -> None:
    x = writer.pick(lambda var: not var.dtype.is_bool)
    if x is not None:
        low, high = (ops.full(writer.builder, TensorType(x.dtype), value) for value in (1, 2))
        writer.add(ops.clamp(low, x, high), exact=writer.is_exact(x))


def _convert(draw: Draw, writer: Writer) -> None:
    x = writer.pick(writer.is_exact)
    if x is not None:
        dtype = draw(st.sampled_from(DTYPES))
        wide = x.dtype.is_integer and np.abs(writer.arrays[x.value].astype(np.float64)).max(initial=0) > 2**20
        writer.add(ops.convert(x, dtype), exact=not wide)


# Creation and movement


def _create(draw: Draw, writer: Writer) -> None:
    type_ = draw(types())
    if type_.rank and not type_.dtype.is_bool and draw(st.booleans()):
        writer.add(ops.iota(writer.builder, type_, draw(st.integers(0, type_.rank - 1))), exact=True)
    else:
        writer.constant(type_)


def _broadcast(draw: Draw, writer: Writer) -> None:
    x = writer.pick(lambda var: var.rank < 3)
    if x is not None:
        shape = list(x.sizes)
        position = draw(st.integers(0, x.rank))
        shape.insert(position, draw(st.sampled_from(SIZES)))
        if np.prod(shape) <= LARGEST_TENSOR:
            dimensions = [axis for axis in range(len(shape)) if axis != position]
            writer.add(ops.broadcast_in_dim(x, tuple(shape), dimensions), exact=writer.is_exact(x))


def _reshape(draw: Draw, writer: Writer) -> None:
    x = writer.pick()
    if x is not None:
        shape = draw(st.sampled_from([(x.type.size,), (1, *x.sizes), (*reversed(x.sizes),)]))
        writer.add(ops.reshape(x, shape), exact=writer.is_exact(x))


def _transpose(draw: Draw, writer: Writer) -> None:
    x = writer.pick(has_axes)
    if x is not None:
        writer.add(ops.transpose(x, draw(st.permutations(range(x.rank)))), exact=writer.is_exact(x))


def _reverse(draw: Draw, writer: Writer) -> None:
    x = writer.pick(has_axes)
    if x is not None:
        writer.add(ops.reverse(x, (axis_of(draw, x),)), exact=writer.is_exact(x))


def _slice(draw: Draw, writer: Writer) -> None:
    x = writer.pick(has_axes)
    if x is not None:
        limits = [draw(st.integers(0, size)) for size in x.sizes]
        starts = [draw(st.integers(0, limit)) for limit in limits]
        strides = [draw(st.integers(1, 3)) for _ in limits]
        writer.add(ops.slice_(x, starts, limits, strides), exact=writer.is_exact(x))


def _pad(draw: Draw, writer: Writer) -> None:
    x = writer.pick(lambda var: var.rank in (1, 2) and var.type.size < 64)
    if x is not None:
        low, high = ([draw(st.integers(0, 2)) for _ in x.shape] for _ in range(2))
        interior = [draw(st.integers(0, 1)) for _ in x.shape]
        value = ops.full(writer.builder, TensorType(x.dtype), 1)
        writer.add(ops.pad(x, value, low, high, interior), exact=writer.is_exact(x))


def _concatenate(draw: Draw, writer: Writer) -> None:
    x = writer.pick(lambda var: var.rank > 0 and var.type.size <= LARGEST_TENSOR // 2)
    if x is not None:
        y = writer.like(x)
        writer.add(ops.concatenate((x, y), axis_of(draw, x)), exact=writer.is_exact(x, y))


def _dynamic_slice(draw: Draw, writer: Writer) -> None:
    x = writer.pick(has_axes)
    if x is not None:
        sizes = [draw(st.integers(0, size)) for size in x.sizes]
        starts = [writer.constant(TensorType(dtypes.i32)) for _ in sizes]
        block = writer.add(ops.dynamic_slice(x, starts, sizes), exact=writer.is_exact(x))
        writer.add(ops.dynamic_update_slice(x, block, starts[::-1]), exact=writer.is_exact(x))


# Reductions, contractions, indices, order


def _reduce(draw: Draw, writer: Writer) -> None:
    x = writer.pick(has_axes)
    if x is None:
        return
    axes = draw(st.lists(st.integers(0, x.rank - 1), min_size=1, unique=True))
    logical = ("reduce_and", "reduce_or") if x.dtype.is_bool else ()
    names = ("reduce_max", "reduce_min") if 0 not in x.sizes or not x.dtype.is_float else ()
    name = draw(st.sampled_from(("reduce_sum", *names, *logical)))
    writer.add(getattr(ops, name)(x, sorted(axes)), exact=writer.is_exact(x))


def _argmax(draw: Draw, writer: Writer) -> None:
    x = writer.pick(lambda var: var.rank > 0 and 0 not in var.sizes and writer.is_exact(var) and not var.dtype.is_bool)
    if x is not None:
        name = draw(st.sampled_from(("argmax", "argmin")))
        writer.add(getattr(ops, name)(x, axis_of(draw, x)), exact=True)


def _matmul(draw: Draw, writer: Writer) -> None:
    x = writer.pick(lambda var: var.rank == 2 and not var.dtype.is_bool)
    if x is not None:
        columns = draw(st.sampled_from(SIZES))
        y = writer.constant(TensorType(x.dtype, (x.sizes[1], columns)))
        out = ops.dot_general(x, y, lhs_contracting=(1,), rhs_contracting=(0,))
        writer.add(out, exact=False)


def _batched_matmul(draw: Draw, writer: Writer) -> None:
    x = writer.pick(lambda var: var.rank == 3 and not var.dtype.is_bool)
    if x is not None:
        batch, _, depth = x.sizes
        y = writer.constant(TensorType(x.dtype, (depth, batch, draw(st.sampled_from((1, 2, 3))))))
        axes = {"lhs_contracting": (2,), "rhs_contracting": (0,), "lhs_batching": (0,), "rhs_batching": (1,)}
        writer.add(ops.dot_general(x, y, **axes), exact=False)


def _take(draw: Draw, writer: Writer) -> None:
    """Rows at indices, some of them out of range: those are clamped."""
    x = writer.pick(lambda var: var.rank in (1, 2) and var.sizes[0] > 0)
    if x is not None:
        indices = writer.constant(TensorType(dtypes.i32, (draw(st.sampled_from((0, 1, 5))), 1)))
        numbers = ops.GatherDimensionNumbers(
            offset_dims=tuple(range(1, x.rank)), collapsed_slice_dims=(0,), start_index_map=(0,), index_vector_dim=1
        )
        writer.add(ops.gather(x, indices, numbers, (1, *x.sizes[1:])), exact=writer.is_exact(x))


def _scatter(draw: Draw, writer: Writer) -> None:
    """Rows added at indices, some of them equal and some out of range: those are dropped."""
    x = writer.pick(lambda var: var.rank in (1, 2) and not var.dtype.is_bool)
    if x is not None:
        count = draw(st.sampled_from((0, 1, 5)))
        indices = writer.constant(TensorType(dtypes.i32, (count, 1)))
        updates = writer.constant(TensorType(x.dtype, (count, *x.sizes[1:])))
        numbers = ops.ScatterDimensionNumbers(
            update_window_dims=tuple(range(1, x.rank)),
            inserted_window_dims=(0,),
            scatter_dims_to_operand_dims=(0,),
            index_vector_dim=1,
        )
        writer.add(ops.scatter_add(x, indices, updates, numbers), exact=writer.is_exact(x))


def _sort(draw: Draw, writer: Writer) -> None:
    x = writer.pick(lambda var: var.rank > 0 and writer.is_exact(var) and not var.dtype.is_bool)
    if x is not None:
        writer.add(ops.sort_values(x, axis_of(draw, x), draw(st.booleans())), exact=True)


def _cumulative(draw: Draw, writer: Writer) -> None:
    x = writer.pick(lambda var: var.rank > 0 and not var.dtype.is_bool)
    if x is not None:
        writer.add(ops.cumulative_sum(x, axis_of(draw, x), draw(st.booleans())), exact=writer.is_exact(x))


# Control


def _if(draw: Draw, writer: Writer) -> None:
    """A choice between regions that use values from outside."""
    x = writer.pick(lambda var: not var.dtype.is_bool)
    if x is None:
        return
    y = writer.like(x)
    pred = writer.constant(TensorType(dtypes.bool_))
    branches = [Builder(), Builder()]
    regions = [
        branch.region((), (combine(branch.var(x.value), branch.var(y.value)),))
        for branch, combine in zip(branches, (ops.add, ops.subtract), strict=True)
    ]
    (result,) = ops.if_(pred, *regions)
    writer.add(result, exact=writer.is_exact(x, y))


def _call(draw: Draw, writer: Writer) -> None:
    """A call of a function x - (x + y), perhaps one that an earlier step called."""
    x = writer.pick(lambda var: not var.dtype.is_bool)
    if x is None:
        return
    y = writer.like(x)
    body = build_region([x.type, y.type], lambda a, b: (ops.subtract(a, ops.add(a, b)),))
    name = f"difference_{str(x.type).replace(', ', '_')}"
    writer.functions.setdefault(name, Function(name, body))
    (result,) = ops.call(writer.builder, name, body.type, (x, y))
    writer.add(result, exact=writer.is_exact(x, y))


def _while(draw: Draw, writer: Writer) -> None:
    """`count` turns of x = x + y."""
    x = writer.pick(lambda var: not var.dtype.is_bool)
    if x is None:
        return
    y = writer.like(x)
    index = ops.constant(writer.builder, 0, dtypes.i32)
    count = draw(st.integers(0, 3))
    carry = (index.type, x.type)

    def condition(turn: Var, _: Var) -> tuple[Var]:
        return (ops.compare(turn, ops.constant(turn.builder, count, dtypes.i32), ops.Direction.LT),)

    def body(turn: Var, total: Var) -> tuple[Var, Var]:
        return ops.add(turn, ops.ones_like(turn)), ops.add(total, total.builder.var(y.value))

    regions = (build_region(carry, part, like=writer.builder) for part in (condition, body))
    _, total = ops.while_((index, x), *regions)
    writer.add(total, exact=writer.is_exact(x, y))


STEPS: tuple[Step, ...] = (
    *(_float_unary, _float_binary),  # once more, for longer chains
    *(_float_unary, _positive_unary, _float_binary, _integer_unary, _integer_binary, _logical),
    *(_compare, _select, _clamp, _convert, _create, _broadcast, _reshape, _transpose, _reverse, _slice, _pad),
    *(_concatenate, _dynamic_slice, _reduce, _argmax, _matmul, _batched_matmul, _take, _scatter, _sort, _cumulative),
    *(_call, _if, _while),
)
