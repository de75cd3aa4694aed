"""Broadcasts, reshapes, transposes and reversals."""

from __future__ import annotations

import math

import numpy as np
import pytest
from checking import check_op

from tenfold_rt import dtypes
from tenfold_rt.errors import ArgumentError, ShapeError
from tenfoldc import ops
from tenfoldc.ir.builder import Builder
from tenfoldc.ir.types import Symbol, TensorType
from tenfoldc.loops.ir import Axis, Load

SHAPES = [(), (0,), (1,), (7,), (2, 3), (1, 5, 1), (3, 0, 2), (2, 3, 5)]


def symbolic(*shape):
    return Builder().parameter(TensorType(dtypes.f32, shape))


def numbers(shape):
    return np.arange(1.0, math.prod(shape) + 1).reshape(shape)


# broadcast_in_dim


@pytest.mark.parametrize(
    ("shape", "result", "dimensions"),
    [
        ((), (), ()),
        ((), (2, 3), ()),
        ((3,), (2, 3), (1,)),
        ((3,), (3, 2), (0,)),
        ((1, 3), (4, 2, 3), (0, 2)),
        ((2, 3), (3, 5, 2), (2, 0)),
        ((1, 1), (2, 2), (1, 0)),
        ((0,), (2, 0), (1,)),
        ((1,), (0, 3), (0,)),
        ((7, 1), (7, 1), (0, 1)),
    ],
)
def test_broadcast_in_dim(shape, result, dimensions, rng):
    x = numbers(shape)
    expected = np.empty(result)
    for index in np.ndindex(*result):
        expected[index] = x[tuple(0 if size == 1 else index[d] for size, d in zip(shape, dimensions, strict=True))]
    check_op(lambda x: ops.broadcast_in_dim(x, result, dimensions), [x], expected, rng=rng)


def test_broadcast_in_dim_carries_symbols():
    n = Symbol("n")
    assert ops.broadcast_in_dim(symbolic(n, 1), (4, n, 3), (1, 2)).shape == (4, n, 3)


def test_broadcast_in_dim_names_the_sizes_that_differ():
    with pytest.raises(ShapeError, match=r"size 3 \(operand, axis 0\) does not broadcast to 4 \(result, axis 1\)"):
        ops.broadcast_in_dim(symbolic(3), (2, 4), (1,))


def test_broadcast_in_dim_refuses_an_axis_twice():
    with pytest.raises(ArgumentError, match="twice"):
        ops.broadcast_in_dim(symbolic(1, 1), (2, 4), (1, 1))


# reshape


@pytest.mark.parametrize(
    ("shape", "result"),
    [
        ((), (1, 1)),
        ((1,), ()),
        ((6,), (2, 3)),
        ((2, 3), (6,)),
        ((2, 3, 5), (6, 5)),
        ((2, 15), (2, 3, 5)),
        ((2, 3, 4), (4, 3, 2)),
        ((4, 1, 6), (1, 2, 2, 2, 3)),
        ((0, 3), (3, 0, 7)),
        ((12, 35), (3, 4, 5, 7)),
    ],
)
def test_reshape(shape, result, rng):
    x = numbers(shape)
    check_op(lambda x: ops.reshape(x, result), [x], x.reshape(result), rng=rng)


def test_random_reshapes(rng):
    for _ in range(20):
        factors = rng.integers(1, 5, 5)
        cuts, other = (np.sort(rng.integers(0, 6, 3)) for _ in range(2))
        shape, result = (tuple(int(part.prod()) for part in np.split(factors, at)) for at in (cuts, other))
        x = numbers(shape)
        check_op(lambda x, to=result: ops.reshape(x, to), [x], x.reshape(result), rng=rng, batch=False)


def test_reshape_passes_untouched_axes_through():
    index = [Axis(name) for name in "abc"]
    seen = []
    ops.RESHAPE.element(
        ops.ReshapeAttributes((6, 4, 5)),
        [TensorType(dtypes.f32, (6, 20))],
        TensorType(dtypes.f32, (6, 4, 5)),
        index,
        lambda _, at: seen.extend(at) or index[0],
    )
    assert seen[0] is index[0]
    assert not isinstance(seen[1], Load)


def test_reshape_carries_symbols():
    n = Symbol("n")
    assert ops.reshape(symbolic(n, 28, 28), (n, 784)).shape == (n, 784)


@pytest.mark.parametrize(
    ("shape", "result"), [((2, 3), (5,)), ((Symbol("n"), 2), (2,)), ((Symbol("n"),), (Symbol("m"),))]
)
def test_reshape_refuses_another_number_of_elements(shape, result):
    with pytest.raises(ShapeError, match="differ in number of elements"):
        ops.reshape(symbolic(*shape), result)


# transpose


@pytest.mark.parametrize("shape", SHAPES)
def test_transpose(shape, rng):
    x = numbers(shape)
    permutation = tuple(int(axis) for axis in rng.permutation(len(shape)))
    check_op(lambda x: ops.transpose(x, permutation), [x], np.transpose(x, permutation), rng=rng)


def test_transpose_carries_symbols():
    n = Symbol("n")
    assert ops.transpose(symbolic(n, 3), (1, 0)).shape == (3, n)


def test_transpose_refuses_what_is_no_permutation():
    with pytest.raises(ArgumentError, match=r"\[0, 0\] is not a permutation"):
        ops.transpose(symbolic(2, 3), (0, 0))


# reverse


@pytest.mark.parametrize("shape", SHAPES)
def test_reverse(shape, rng):
    x = numbers(shape)
    dimensions = tuple(axis for axis in range(len(shape)) if rng.integers(2))
    check_op(lambda x: ops.reverse(x, dimensions), [x], np.flip(x, dimensions), rng=rng)


def test_reverse_refuses_a_missing_axis():
    with pytest.raises(ArgumentError, match="axis 2, but the rank is 2"):
        ops.reverse(symbolic(2, 3), (2,))


@pytest.mark.parametrize("dtype", [np.bool_, np.uint8, np.int64, np.float32])
def test_movement_keeps_the_dtype(dtype, rng):
    x = numbers((2, 3)).astype(dtype)
    check_op(lambda x: ops.transpose(x, (1, 0)), [x], x.T, rng=rng)
