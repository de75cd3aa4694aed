"""Cases of ops that combine many elements: reductions, contractions, windows, indices, order."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from compiled import Array, Build, Case, case, single
from op_cases import SHAPES, any_bits, numbers, shows

from tenfold_rt import dtypes
from tenfold_rt.dtypes import DType
from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ir.types import TensorType
from tenfoldc.ops import Direction, Reducer
from tenfoldc.ops.elementwise import ALL_COMPILED, NUMBERS

REDUCERS = (Reducer.SUM, Reducer.PRODUCT, Reducer.MAX, Reducer.MIN, Reducer.AND, Reducer.OR)

# Reductions


@shows(ops.REDUCE)
def _reduce(rng: np.random.Generator) -> Iterator[Case]:
    for dtype, reducer in itertools.product(ALL_COMPILED, REDUCERS):
        if reducer in (Reducer.AND, Reducer.OR) and dtype.is_float:
            continue
        for shape, axes in (((5,), (0,)), ((3, 33), (1,)), ((33, 3), (0,)), ((2, 3, 5), (0, 2)), ((0, 3), (0,))):
            x = powers_of_two(rng, shape, dtype) if reducer is Reducer.PRODUCT else numbers(rng, dtype, shape)
            yield case(f"{reducer.name} {dtype.name}{shape} {axes}", reduced(reducer, axes), x)
    for shape in SHAPES:
        for count in range(len(shape) + 1):
            axes = tuple(range(len(shape)))[-count:] if count else ()
            yield case(f"sum {shape} {axes}", reduced(Reducer.SUM, axes), numbers(rng, dtypes.f64, shape))
    special = np.array([[np.nan, 1, 2], [-np.inf, np.inf, -1], [3, 1, np.nan]], np.float32)
    for reducer in (Reducer.MAX, Reducer.MIN):
        yield case(f"{reducer.name} of NaN", reduced(reducer, (1,)), special)
        yield case(f"{reducer.name} of NaN down", reduced(reducer, (0,)), special)
    for dtype in NUMBERS:
        x = numbers(rng, dtype, (4, 19))
        yield case(f"argmax {dtype.name}", lambda x: (ops.argmax(x, 1), ops.argmin(x, 0, dtypes.i64)), x)
    yield case("argmax of NaN", lambda x: (ops.argmax(x, 1), ops.argmin(x, 1)), special)
    yield case("initial value", _with_initial_value, numbers(rng, dtypes.f32, (3, 7)), np.float32(2.5))
    yield case("own body", _with_own_body, numbers(rng, dtypes.i32, (3, 7)), numbers(rng, dtypes.f32, (3, 7)))


def powers_of_two(rng: np.random.Generator, shape: Sequence[int], dtype: DType) -> Array:
    if dtype.is_float:
        return np.asarray(2.0 ** rng.integers(-1, 2, shape) * rng.choice([-1, 1], shape), dtype.numpy)
    return any_bits(rng, dtype, shape)


def reduced(reducer: Reducer, axes: Sequence[int]) -> Build:
    def build(x: Var) -> Sequence[Var]:
        init = ops.full(x.builder, TensorType(x.dtype), ops.neutral_value(reducer, x.dtype))
        return ops.reduce([x], [init], axes, ops.body_of(reducer))

    return build


def _with_initial_value(x: Var, init: Var) -> Sequence[Var]:
    return ops.reduce([x], [init], (1,), ops.body_of(Reducer.SUM))


def _with_own_body(x: Var, y: Var) -> Sequence[Var]:
    """Sums of `x`, and of `y` where each is the larger: two results, one body."""

    def body(a: Var, b: Var, c: Var, d: Var) -> Sequence[Var]:
        return ops.add(a, c), ops.maximum(b, d)

    inits = [ops.full(x.builder, TensorType(v.dtype), -100) for v in (x, y)]
    return ops.reduce([x, y], inits, (0,), body)


# Contractions


@shows(ops.DOT_GENERAL)
def _dot_general(rng: np.random.Generator) -> Iterator[Case]:
    matrices = (
        (1, 1, 1),
        (3, 5, 7),
        (17, 33, 9),
        (64, 64, 64),
        (1, 40, 1),
        (70, 1, 70),
        (0, 3, 2),
        (3, 0, 2),
        (3, 2, 0),
    )
    for dtype in ALL_COMPILED:
        for m, k, n in matrices if dtype.is_float else matrices[:2]:
            arrays = numbers(rng, dtype, (m, k)), numbers(rng, dtype, (k, n))
            yield case(f"{dtype.name} {m}x{k}x{n}", matmul, *arrays)
    large = [numbers(rng, dtypes.f32, shape) for shape in ((130, 517), (517, 259))]
    yield case("blocked", matmul, *large)
    for lhs, rhs, axes in (
        *(
            ((5, 3), (5, 7), ((0,), (0,), (), ())),
            ((3, 5), (7, 5), ((1,), (1,), (), ())),
            ((4,), (4,), ((0,), (0,), (), ())),
        ),
        *(((4, 3), (4,), ((0,), (0,), (), ())), ((3,), (4,), ((), (), (), ())), ((), (3, 2), ((), (), (), ()))),
        ((2, 3, 5), (2, 5, 4), ((2,), (1,), (0,), (0,))),
        ((3, 2, 5, 6), (5, 7, 2, 6), ((2, 3), (0, 3), (1,), (2,))),
        ((3, 2, 5, 6), (6, 7, 2, 5), ((3, 2), (0, 3), (1,), (2,))),
        ((0, 3, 5), (0, 5, 4), ((2,), (1,), (0,), (0,))),
        ((6, 4), (6, 4), ((), (), (0, 1), (0, 1))),
        ((2, 9, 3, 17), (2, 9, 3, 17), ((3,), (3,), (0, 2), (0, 2))),
    ):
        arrays = numbers(rng, dtypes.f32, lhs), numbers(rng, dtypes.f32, rhs)
        yield case(f"{lhs} {rhs} {axes}", dot(*axes), *arrays)
        yield case(f"{lhs} {rhs} {axes} integers", dot(*axes), *[array.astype(np.int32) for array in arrays])
    square = numbers(rng, dtypes.f32, (19, 19))
    yield case("with itself", lambda x: (matmul(x, x), matmul(ops.transpose(x, (1, 0)), x)), square)
    for m, k, n in ((17, 12, 21), (1, 12, 21), (17, 12, 1), (1, 12, 1), (1, 1, 1), (130, 300, 70)):
        arrays = numbers(rng, dtypes.f32, (m, k)), numbers(rng, dtypes.f32, (k, n)), numbers(rng, dtypes.f32, (n,))
        yield case(f"with neighbours {m}x{k}x{n}", _dense, *arrays)


def matmul(x: Var, y: Var) -> Var:
    return ops.dot_general(x, y, lhs_contracting=(1,), rhs_contracting=(0,))


def dot(lhs: Sequence[int], rhs: Sequence[int], lhs_batching: Sequence[int], rhs_batching: Sequence[int]) -> Build:
    axes = {"lhs_batching": lhs_batching, "rhs_batching": rhs_batching}
    return lambda x, y: ops.dot_general(x, y, lhs_contracting=lhs, rhs_contracting=rhs, **axes)


def _dense(x: Var, w: Var, b: Var) -> Sequence[Var]:
    """What is computed before and after a product is fused with it; the product itself is a result too."""
    product = matmul(ops.maximum(x, ops.zeros_like(x)), ops.negate(w))
    shifted = ops.add(product, ops.broadcast_in_dim(b, product.shape, (1,)))
    return ops.maximum(shifted, ops.zeros_like(shifted)), product


@shows(ops.CONVOLUTION)
def _convolution(rng: np.random.Generator) -> Iterator[Case]:
    plain = ((0, 1, 2, 3), (0, 1, 2, 3), (0, 1, 2, 3))
    channels_last = ((0, 3, 1, 2), (3, 2, 0, 1), (0, 3, 1, 2))
    for label, lhs, rhs, layout, options in (
        ("plain", (2, 3, 9, 8), (5, 3, 3, 2), plain, {}),
        ("channels last", (2, 3, 9, 8), (17, 3, 3, 3), channels_last, {"padding": ((1, 1), (1, 1))}),
        ("strided", (2, 3, 9, 8), (5, 3, 3, 2), plain, {"window_strides": (2, 3), "padding": ((1, 0), (0, 2))}),
        ("dilated kernel", (1, 2, 9, 8), (4, 2, 3, 2), plain, {"rhs_dilation": (2, 3)}),
        ("dilated input", (1, 2, 4, 3), (4, 2, 3, 2), plain, {"lhs_dilation": (2, 3), "padding": ((2, 2), (1, 1))}),
        ("cropped", (1, 2, 9, 8), (4, 2, 3, 2), plain, {"padding": ((-1, -2), (3, -1))}),
        ("mirrored", (1, 2, 9, 8), (4, 2, 3, 2), plain, {"window_reversal": (True, True)}),
        ("groups", (2, 6, 5, 5), (9, 2, 3, 3), plain, {"feature_group_count": 3}),
        ("depthwise", (2, 5, 6, 6), (5, 1, 3, 3), channels_last, {"feature_group_count": 5}),
        ("batch groups", (4, 3, 5, 5), (6, 3, 3, 3), plain, {"batch_group_count": 2}),
        ("pointwise", (2, 8, 5, 5), (16, 8, 1, 1), channels_last, {}),
        ("no batch", (0, 3, 5, 5), (4, 3, 3, 3), plain, {}),
        ("no features", (2, 0, 5, 5), (4, 0, 3, 3), plain, {}),
        ("window larger than input", (2, 3, 2, 2), (4, 3, 3, 3), plain, {}),
        ("many channels", (1, 33, 7, 7), (34, 33, 3, 3), plain, {"padding": ((1, 1), (1, 1))}),
    ):
        numbers_of = ops.ConvDimensionNumbers.of(*layout)
        for dtype in (dtypes.f32, dtypes.f64, dtypes.i32, dtypes.u8):
            x, kernel = (
                np.transpose(numbers(rng, dtype, sizes), np.argsort(axes))
                for sizes, axes in ((lhs, layout[0]), (rhs, layout[1]))
            )
            yield case(f"{label} {dtype.name}", convolve(numbers_of, options), x, kernel)
        arrays = [array.astype(np.float32) for array in (x, kernel)]
        yield case(f"{label} with neighbours", _with_neighbours(convolve(numbers_of, options)), *arrays)
    one = ops.ConvDimensionNumbers.of((0, 1, 2), (0, 1, 2), (0, 1, 2))
    arrays = numbers(rng, dtypes.f32, (2, 3, 40)), numbers(rng, dtypes.f32, (4, 3, 5))
    yield case("one dimension", convolve(one, {}), *arrays)
    three = ops.ConvDimensionNumbers.of(*[tuple(range(5))] * 3)
    arrays = numbers(rng, dtypes.f32, (1, 2, 4, 5, 6)), numbers(rng, dtypes.f32, (3, 2, 2, 3, 2))
    yield case("three dimensions", convolve(three, {"window_strides": (1, 2, 2)}), *arrays)
    none = ops.ConvDimensionNumbers.of((0, 1), (0, 1), (0, 1))
    yield case("no dimension", convolve(none, {}), *[numbers(rng, dtypes.f32, (3, 4)) for _ in range(2)])


def convolve(dimension_numbers: ops.ConvDimensionNumbers, options: Mapping[str, Any]) -> Build:
    return lambda x, kernel: ops.convolution(x, kernel, dimension_numbers, **options)


def _with_neighbours(build: Build) -> Build:
    """What `build` makes of sums, as a result and as what follows it reads it."""

    def both(x: Var, kernel: Var) -> Sequence[Var]:
        result = build(ops.add(x, x), kernel)
        return ops.maximum(result, ops.zeros_like(result)), result

    return both


# Windows


WINDOWS = {
    "pooling": {"window_dimensions": (1, 2, 2), "window_strides": (1, 2, 2)},
    "overlapping": {"window_dimensions": (1, 3, 2)},
    "padded": {"window_dimensions": (2, 3, 2), "window_strides": (1, 2, 1), "padding": ((1, 0), (1, 1), (0, 1))},
}
DILATED = {
    "window dilation": {
        "window_dimensions": (1, 2, 3),
        "window_dilations": (1, 3, 2),
        "padding": ((0, 0), (1, 0), (2, 2)),
    },
    "base dilation": {"window_dimensions": (1, 2, 3), "base_dilations": (1, 2, 3), "padding": ((0, 0), (0, 1), (1, 1))},
    "negative padding": {"window_dimensions": (1, 2, 2), "padding": ((0, 0), (-1, -1), (-2, 1))},
    "wide padding": {"window_dimensions": (1, 1, 2), "window_strides": (1, 1, 3), "padding": ((0, 0), (2, 2), (4, 5))},
    "larger than the input": {"window_dimensions": (9, 1, 1)},
}


@shows(ops.REDUCE_WINDOW)
def _reduce_window(rng: np.random.Generator) -> Iterator[Case]:
    for dtype, reducer in itertools.product((dtypes.f32, dtypes.i32, dtypes.u8, dtypes.bool_), REDUCERS):
        if reducer in (Reducer.AND, Reducer.OR) and dtype.is_float:
            continue
        x = powers_of_two(rng, (2, 6, 7), dtype) if reducer is Reducer.PRODUCT else numbers(rng, dtype, (2, 6, 7))
        for label, attributes in WINDOWS.items():
            yield case(f"{label} {reducer.name} {dtype.name}", windowed(reducer, attributes), x)
    for label, attributes in DILATED.items():
        for dtype in (dtypes.f32, dtypes.i64):
            yield case(f"{label} {dtype.name}", windowed(Reducer.SUM, attributes), numbers(rng, dtype, (2, 6, 7)))
        yield case(f"{label} of nothing", windowed(Reducer.MAX, attributes), numbers(rng, dtypes.f32, (2, 0, 7)))
    for reverse in (False, True):
        for name in ("sum", "product", "max", "min"):
            build = lambda x, name=name, r=reverse: getattr(ops, f"cumulative_{name}")(x, 0, r)  # noqa: E731
            for shape in ((1,), (0,), (33,), (9, 5)):
                yield case(f"cumulative {name} {reverse} {shape}", build, powers_of_two(rng, shape, dtypes.f64))
    yield case("cumulative within", lambda x: ops.cumulative_sum(x, 1), numbers(rng, dtypes.i32, (3, 40, 2)))


def windowed(reducer: Reducer, attributes: Mapping[str, Any]) -> Build:
    def build(x: Var) -> Sequence[Var]:
        init = ops.full(x.builder, TensorType(x.dtype), ops.neutral_value(reducer, x.dtype))
        return ops.reduce_window([x], [init], ops.body_of(reducer), **attributes)

    return build


@shows(ops.SELECT_AND_SCATTER)
def _select_and_scatter(rng: np.random.Generator) -> Iterator[Case]:
    for label, attributes in WINDOWS.items():
        for direction in (Direction.GE, Direction.LT):
            for dtype in (dtypes.f32, dtypes.i32):
                x = numbers(rng, dtype, (2, 6, 7))
                sizes = (
                    single(windowed(Reducer.MAX, attributes), [TensorType(dtype, x.shape)])["main"]
                    .type.results[0]
                    .sizes
                )
                arrays = x, numbers(rng, dtype, sizes), numbers(rng, dtype, ())
                yield case(f"{label} {direction.name} {dtype.name}", scattered_back(direction, attributes), *arrays)


def scattered_back(direction: Direction, attributes: Mapping[str, Any]) -> Build:
    def select(x: Var, y: Var) -> Sequence[Var]:
        return (ops.compare(x, y, direction),)

    return lambda x, source, init: ops.select_and_scatter(
        x, source, init, select, ops.body_of(Reducer.SUM), **attributes
    )


# Indices


GATHERS = {
    "rows": ((5, 3), (4, 1), ops.GatherDimensionNumbers((1,), (0,), (), (), (0,), 1), (1, 3)),
    "columns": ((5, 3), (4, 1), ops.GatherDimensionNumbers((0,), (1,), (), (), (1,), 1), (5, 1)),
    "points": ((5, 3), (2, 4, 2), ops.GatherDimensionNumbers((), (0, 1), (), (), (1, 0), 2), (1, 1)),
    "blocks": ((5, 6), (2, 3), ops.GatherDimensionNumbers((1, 2), (), (), (), (0, 1), 0), (2, 3)),
    "batched": ((4, 5, 3), (4, 2, 1), ops.GatherDimensionNumbers((2,), (1,), (0,), (0,), (1,), 2), (1, 1, 3)),
    "scalar index": ((5, 3), (), ops.GatherDimensionNumbers((0,), (0,), (), (), (0,), 0), (1, 3)),
    "none": ((5, 3), (0, 1), ops.GatherDimensionNumbers((1,), (0,), (), (), (0,), 1), (1, 3)),
    "empty slices": ((5, 3), (2, 1), ops.GatherDimensionNumbers((1,), (0,), (), (), (0,), 1), (1, 0)),
}


def indices_for(rng: np.random.Generator, dtype: DType, shape: Sequence[int]) -> Array:
    """Indices inside and outside of small tensors, the farthest that there are among them."""
    limits = np.iinfo(dtype.numpy)
    near = [value for value in (*range(-2, 8), limits.min, limits.max) if value >= limits.min]
    return np.asarray(rng.choice(np.array(near, dtype.numpy), tuple(shape)), dtype.numpy)


@shows(ops.GATHER)
def _gather(rng: np.random.Generator) -> Iterator[Case]:
    for label, (operand, indices, dimensions, sizes) in GATHERS.items():
        build = lambda x, i, d=dimensions, s=sizes: ops.gather(x, i, d, s)  # noqa: E731
        for kind in (dtypes.i8, dtypes.i32, dtypes.i64, dtypes.u32, dtypes.u64):
            yield case(
                f"{label} {kind.name}", build, numbers(rng, dtypes.f32, operand), indices_for(rng, kind, indices)
            )
        for dtype in ALL_COMPILED:
            arrays = any_bits(rng, dtype, operand), indices_for(rng, dtypes.i32, indices)
            yield case(f"{label} of {dtype.name}", build, *arrays)
    arrays = numbers(rng, dtypes.f32, (4, 6)), rng.integers(0, 4, (2, 6), np.int32)
    yield case("along axis", lambda x, i: ops.take_along_axis(x, i, 0), *arrays)


SCATTERS = {
    "rows": ((5, 3), (4, 1), (4, 3), ops.ScatterDimensionNumbers((1,), (0,), (), (), (0,), 1)),
    "points": ((5, 3), (2, 4, 2), (2, 4), ops.ScatterDimensionNumbers((), (0, 1), (), (), (1, 0), 2)),
    "blocks": ((5, 6), (2, 7), (7, 2, 3), ops.ScatterDimensionNumbers((1, 2), (), (), (), (0, 1), 0)),
    "batched": ((4, 5, 3), (4, 2, 1), (4, 2, 3), ops.ScatterDimensionNumbers((2,), (1,), (0,), (0,), (1,), 2)),
    "one": ((5, 3), (), (3,), ops.ScatterDimensionNumbers((0,), (0,), (), (), (0,), 0)),
    "none": ((5, 3), (0, 1), (0, 3), ops.ScatterDimensionNumbers((1,), (0,), (), (), (0,), 1)),
    "into nothing": ((0, 3), (2, 1), (2, 3), ops.ScatterDimensionNumbers((1,), (0,), (), (), (0,), 1)),
}
COMBINATIONS = {
    "add": ops.add,
    "multiply": ops.multiply,
    "maximum": ops.maximum,
    "set": lambda _, new: new,
    "first minus": ops.subtract,
}


@shows(ops.SCATTER)
def _scatter(rng: np.random.Generator) -> Iterator[Case]:
    for (label, (operand, indices, updates, dimensions)), (name, combine) in itertools.product(
        SCATTERS.items(), COMBINATIONS.items()
    ):
        for kind in (dtypes.i32, dtypes.u64, dtypes.i8) if name == "add" else (dtypes.i64,):
            arrays = (
                numbers(rng, dtypes.f64, operand),
                indices_for(rng, kind, indices),
                numbers(rng, dtypes.f64, updates),
            )
            yield case(f"{label} {name} {kind.name}", scattered(dimensions, combine), *arrays)
    operand, indices, updates, dimensions = SCATTERS["rows"]
    for dtype in ALL_COMPILED:
        arrays = any_bits(rng, dtype, operand), indices_for(rng, dtypes.i32, indices), any_bits(rng, dtype, updates)
        yield case(f"rows of {dtype.name}", scattered(dimensions, ops.maximum), *arrays)
    arrays = [
        numbers(rng, dtypes.f32, operand),
        numbers(rng, dtypes.i32, operand),
        indices_for(rng, dtypes.i32, indices),
    ]
    arrays += [numbers(rng, dtypes.f32, updates), numbers(rng, dtypes.i32, updates)]
    yield case("two tensors", lambda x, y, i, u, v: _scatter_both(dimensions, x, y, i, u, v), *arrays)


def scattered(dimensions: ops.ScatterDimensionNumbers, combine: Callable[[Var, Var], Var]) -> Build:
    return lambda x, i, u: ops.scatter([x], i, [u], lambda old, new: (combine(old, new),), dimensions)


def _scatter_both(dimensions: ops.ScatterDimensionNumbers, x: Var, y: Var, i: Var, u: Var, v: Var) -> Sequence[Var]:
    def body(old_x: Var, old_y: Var, new_x: Var, new_y: Var) -> Sequence[Var]:
        return ops.add(old_x, new_x), ops.minimum(old_y, new_y)

    return ops.scatter([x, y], i, [u, v], body, dimensions)


# Order


@shows(ops.SORT)
def _sort(rng: np.random.Generator) -> Iterator[Case]:
    for dtype in ALL_COMPILED:
        x = any_bits(rng, dtype, (3, 33))
        yield case(f"{dtype.name}", lambda x: (ops.sort_values(x, 1), ops.sort_values(x, 0, True)), x)
        yield case(f"indices {dtype.name}", lambda x: ops.sort_with_indices(x, 1, True), x)
    for shape, axis in (((0,), 0), ((1,), 0), ((2, 0, 3), 2), ((3, 1), 1), ((2, 17, 3), 1), ((1000,), 0), ((63,), 0)):
        x = numbers(rng, dtypes.f32, shape)
        yield case(f"{shape} along {axis}", lambda x, a=axis: ops.sort_with_indices(x, a), x)
    odd = np.array([np.nan, 1, -np.inf, -0.0, 0.0, np.inf, np.nan, -1], np.float64)
    yield case("special values", lambda x: (*ops.sort_with_indices(x, 0), *ops.sort_with_indices(x, 0, True)), odd)
    keys = rng.integers(0, 3, (2, 50), np.int32), rng.integers(0, 3, (2, 50), np.int8)
    yield case("two keys", _lexicographic, *keys, numbers(rng, dtypes.f32, (2, 50)))


def _lexicographic(x: Var, y: Var, z: Var) -> Sequence[Var]:
    def comparator(a: Var, b: Var, c: Var, d: Var, *_: Var) -> Sequence[Var]:
        tie = ops.and_(ops.compare(a, b, Direction.EQ), ops.compare(c, d, Direction.GT))
        return (ops.or_(ops.compare(a, b, Direction.LT), tie),)

    return ops.sort([x, y, z], 1, True, comparator)


@shows(ops.TOP_K)
def _top_k(rng: np.random.Generator) -> Iterator[Case]:
    for dtype in NUMBERS:
        yield case(dtype.name, lambda x: ops.top_k(x, 3), numbers(rng, dtype, (4, 19)))
    for shape, k in (((5,), 0), ((5,), 5), ((0, 5), 2), ((2, 0), 0), ((1000,), 7)):
        yield case(f"{k} of {shape}", lambda x, k=k: ops.top_k(x, k), numbers(rng, dtypes.f32, shape))
    odd = np.array([1, np.nan, -np.inf, np.inf, np.nan, 0], np.float32)
    yield case("special values", lambda x: ops.top_k(x, 6), odd)
    yield case("smallest of special values", lambda x: ops.bottom_k(x, 6), odd)
    ascending = np.arange(70_000, dtype=np.float32) // 3
    yield case("in parts", lambda x: ops.top_k(x, 7), ascending)
    yield case("computed where it is read", lambda x: ops.top_k(ops.sine(x), 5), numbers(rng, dtypes.f32, (2, 900)))
