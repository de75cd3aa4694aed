"""Cases of ops that create elements or move them: all dtypes, shapes and attributes at their limits."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
from compiled import Case, case
from op_cases import any_bits, numbers, over_dtypes, shows

from tenfold_rt import dtypes
from tenfold_rt.dtypes import DType
from tenfoldc import ops
from tenfoldc.ir.types import TensorType
from tenfoldc.ops.elementwise import ALL_COMPILED, NUMBERS


@shows(ops.CONSTANT)
def _constant(rng: np.random.Generator) -> Iterator[Case]:
    for dtype, shape in itertools.product(ALL_COMPILED, ((), (0,), (7,), (2, 3, 5))):
        value = any_bits(rng, dtype, shape)
        yield case(f"{dtype.name}{shape}", lambda b, value=value: ops.constant(b, value))
        yield case(
            f"{dtype.name}{shape} read",
            lambda x, value=value: ops.reverse(
                ops.select(x, *[ops.constant(x.builder, v) for v in (value, value)]), ()
            ),
            np.array(True),
        )
    splat = TensorType(dtypes.f32, (3, 5))
    yield case("splat", lambda b: ops.full(b, splat, -2.5))
    odd = np.array([np.nan, np.inf, -np.inf, -0.0, 1e-45])
    for numpy in (np.float32, np.float64):
        yield case(f"special {numpy.__name__}", lambda b, numpy=numpy: ops.constant(b, odd.astype(numpy)))


@shows(ops.IOTA)
def _iota(_: np.random.Generator) -> Iterator[Case]:
    for dtype in NUMBERS:
        for shape, axis in (((300,), 0), ((3, 5), 0), ((3, 5), 1), ((2, 0, 3), 2)):
            type_ = TensorType(dtype, shape)
            yield case(f"{type_} along {axis}", lambda b, type_=type_, axis=axis: ops.iota(b, type_, axis))


FEW = (dtypes.f32, dtypes.i8)


@shows(ops.BROADCAST_IN_DIM)
def _broadcast(rng: np.random.Generator) -> Iterator[Case]:
    for source, target, axes in (
        *(((), (3, 5), ()), ((5,), (3, 5), (1,)), ((3,), (3, 5), (0,)), ((3, 1), (3, 5), (0, 1))),
        *(((1, 7), (7, 2, 1, 7), (2, 3)), ((0,), (3, 0), (1,)), ((1,), (0,), (0,)), ((2, 3), (2, 3), (0, 1))),
    ):
        label = f"{source} to {target} at {axes}"
        yield from over_dtypes(label, lambda x, t=target, a=axes: ops.broadcast_in_dim(x, t, a), source, kinds=FEW)(rng)
    yield from over_dtypes("rows", lambda x: ops.broadcast_in_dim(x, (3, 5), (1,)), (5,))(rng)


@shows(ops.RESHAPE)
def _reshape(rng: np.random.Generator) -> Iterator[Case]:
    for source, target in (
        *(((), (1, 1)), ((1,), ()), ((6,), (2, 3)), ((2, 3, 5), (5, 6)), ((0, 3), (7, 0)), ((4, 9), (2, 2, 3, 3))),
    ):
        yield from over_dtypes(f"{source} to {target}", lambda x, t=target: ops.reshape(x, t), source)(rng)
        # A transposition in front keeps the reshape from being a view.
        yield case(
            f"transposed {source} to {target}",
            lambda x, t=target: ops.reshape(ops.transpose(x, range(x.rank)[::-1]), t),
            numbers(rng, dtypes.f32, source),
        )


@shows(ops.TRANSPOSE)
def _transpose(rng: np.random.Generator) -> Iterator[Case]:
    for shape in ((), (5,), (3, 0), (1, 9), (17, 33), (70, 66), (2, 3, 5), (2, 1, 3, 2)):
        for axes in itertools.permutations(range(len(shape))):
            yield from over_dtypes(f"{shape} by {axes}", lambda x, a=axes: ops.transpose(x, a), shape, kinds=FEW)(rng)
    yield from over_dtypes("matrix", lambda x: ops.transpose(x, (1, 0)), (37, 19))(rng)


@shows(ops.REVERSE)
def _reverse(rng: np.random.Generator) -> Iterator[Case]:
    for shape, axes in (((), ()), ((0,), (0,)), ((33,), (0,)), ((3, 5), (0,)), ((3, 5), (1, 0)), ((2, 1, 7), (2,))):
        yield from over_dtypes(f"{shape} along {axes}", lambda x, a=axes: ops.reverse(x, a), shape)(rng)


@shows(ops.SLICE)
def _slice(rng: np.random.Generator) -> Iterator[Case]:
    for shape, *bounds in (
        *(((), (), (), ()), ((9,), (2,), (9,), (3,)), ((9,), (4,), (4,), (1,)), ((3, 5), (1, 0), (3, 4), (1, 2))),
        *(((0, 3), (0, 1), (0, 3), (1, 1)), ((70,), (1,), (68,), (1,))),
    ):
        yield from over_dtypes(f"{shape} {bounds}", lambda x, b=bounds: ops.slice_(x, *b), shape)(rng)


@shows(ops.PAD)
def _pad(rng: np.random.Generator) -> Iterator[Case]:
    for shape, *edges in (
        *(((), (), (), ()), ((5,), (2,), (1,), (0,)), ((5,), (-1,), (-2,), (0,)), ((5,), (-2,), (3,), (2,))),
        *(((0,), (2,), (1,), (3,)), ((0,), (0,), (0,), (1,)), ((1,), (0,), (0,), (4,)), ((5,), (-3,), (-3,), (1,))),
        *(((3, 5), (1, 0), (0, -2), (0, 1)), ((2, 0, 3), (0, 1, -1), (1, 1, 0), (1, 0, 2))),
    ):
        build = lambda x, value, e=edges: ops.pad(x, value, *e)  # noqa: E731
        yield from over_dtypes(f"{shape} {edges}", build, shape, ())(rng)


@shows(ops.CONCATENATE)
def _concatenate(rng: np.random.Generator) -> Iterator[Case]:
    for axis, *shapes in ((0, (3,)), (0, (3,), (0,), (5,)), (1, (2, 1), (2, 7)), (1, (0, 1), (0, 7)), (0, (0,), (0,))):
        yield from over_dtypes(f"{shapes}", lambda *xs, a=axis: ops.concatenate(xs, a), *shapes)(rng)
    many = [(1, 3)] * 20
    yield from over_dtypes("many", lambda *xs: ops.concatenate(xs, 0), *many, kinds=FEW)(rng)
    yield case("with itself", lambda x: ops.concatenate((x, x, ops.negate(x)), 1), numbers(rng, dtypes.f32, (3, 5)))


INDEX_DTYPES = (dtypes.i8, dtypes.i32, dtypes.i64, dtypes.u8, dtypes.u32, dtypes.u64)


def _starts(dtype: DType) -> list[int]:
    """Starts before, inside and past an axis."""
    limits = np.iinfo(dtype.numpy)
    return [start for start in (limits.min, -1, 0, 2, 4, limits.max) if start >= limits.min]


@shows(ops.DYNAMIC_SLICE)
def _dynamic_slice(rng: np.random.Generator) -> Iterator[Case]:
    build = lambda x, i, j: ops.dynamic_slice(x, (i, j), (2, 3))  # noqa: E731
    for dtype in ALL_COMPILED:
        yield case(f"{dtype.name}", build, any_bits(rng, dtype, (5, 7)), np.int32(1), np.int32(9))
    for kind in INDEX_DTYPES:
        for start in _starts(kind):
            starts = [np.array(value, kind.numpy) for value in (start, 3)]
            yield case(f"start {start} {kind.name}", build, numbers(rng, dtypes.f32, (5, 7)), *starts)
    yield case("scalar", lambda x: ops.dynamic_slice(x, (), ()), np.float32(3))
    empty = numbers(rng, dtypes.f32, (0, 7))
    yield case("empty", lambda x, i, j: ops.dynamic_slice(x, (i, j), (0, 2)), empty, np.int64(3), np.int64(9))


@shows(ops.DYNAMIC_UPDATE_SLICE)
def _dynamic_update_slice(rng: np.random.Generator) -> Iterator[Case]:
    build = lambda x, u, i, j: ops.dynamic_update_slice(x, u, (i, j))  # noqa: E731
    for dtype in ALL_COMPILED:
        arrays = any_bits(rng, dtype, (5, 7)), any_bits(rng, dtype, (2, 3))
        yield case(f"{dtype.name}", build, *arrays, np.int32(1), np.int32(9))
    for kind in INDEX_DTYPES:
        for start in _starts(kind):
            starts = [np.array(value, kind.numpy) for value in (start, 3)]
            arrays = numbers(rng, dtypes.f32, (5, 7)), numbers(rng, dtypes.f32, (2, 3))
            yield case(f"start {start} {kind.name}", build, *arrays, *starts)
    for shape, update in (((), ()), ((0, 3), (0, 2)), ((4, 3), (0, 2)), ((4, 3), (4, 3)), ((40, 30), (1, 30))):
        starts = [np.int32(2)] * len(shape)
        arrays = numbers(rng, dtypes.f32, shape), numbers(rng, dtypes.f32, update)
        yield case(f"{update} in {shape}", lambda x, u, *at: ops.dynamic_update_slice(x, u, at), *arrays, *starts)


@shows(ops.BITCAST_CONVERT)
def _bitcast(rng: np.random.Generator) -> Iterator[Case]:
    for source, target in itertools.product(NUMBERS, NUMBERS):
        ratio = target.bits / source.bits
        shape = (3, 5) if ratio <= 1 else (3, int(ratio))
        x = rng.integers(0, 256, (*shape, source.itemsize), np.uint8)
        plain = x.view(source.numpy)[..., 0]
        plain = np.nan_to_num(plain) if source.is_float or target.is_float else plain
        yield case(f"{source.name} as {target.name}", lambda v, t=target: ops.bitcast_convert(v, t), plain)
