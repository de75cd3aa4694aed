"""Slices, paddings and concatenations."""

from __future__ import annotations

import math

import numpy as np
import pytest
from checking import apply_once, check_op, check_reference

from tenfold_rt import dtypes
from tenfold_rt.errors import ArgumentError, DTypeError, ShapeError
from tenfoldc import ops
from tenfoldc.ir.builder import Builder
from tenfoldc.ir.types import Symbol, TensorType


def symbolic(*shape):
    return Builder().parameter(TensorType(dtypes.f32, shape))


def numbers(shape):
    return np.arange(1.0, math.prod(shape) + 1).reshape(shape)


def padded(x, value, low, high, interior):
    """The definition, element by element: result[low + i * (interior + 1)] = x[i] where that is inside."""
    edges = list(zip(x.shape, low, high, interior, strict=True))
    result = np.full([n + max(n - 1, 0) * k + lo + hi for n, lo, hi, k in edges], value)
    for index in np.ndindex(*x.shape):
        place = tuple(lo + i * (k + 1) for i, (_, lo, _, k) in zip(index, edges, strict=True))
        if all(0 <= at < size for at, size in zip(place, result.shape, strict=True)):
            result[place] = x[index]
    return result


# slice


@pytest.mark.parametrize(
    ("shape", "starts", "limits", "strides"),
    [
        ((), (), (), ()),
        ((7,), (0,), (7,), (1,)),
        ((7,), (2,), (6,), (3,)),
        ((7,), (3,), (3,), (2,)),
        ((0,), (0,), (0,), (1,)),
        ((7,), (6,), (7,), (5,)),
        ((5, 8), (1, 0), (4, 7), (2, 3)),
        ((2, 3, 5), (1, 1, 4), (2, 3, 5), (1, 1, 1)),
    ],
)
def test_slice(shape, starts, limits, strides, rng):
    x = numbers(shape)
    expected = x[tuple(slice(*of) for of in zip(starts, limits, strides, strict=True))]
    check_op(lambda x: ops.slice_(x, starts, limits, strides), [x], np.asarray(expected), rng=rng)


def test_slice_takes_a_symbolic_axis_whole():
    n = Symbol("n")
    assert ops.slice_(symbolic(n, 5), (0, 1), (n, 3)).shape == (n, 2)
    with pytest.raises(ShapeError, match="symbolic size n"):
        ops.slice_(symbolic(n, 5), (0, 1), (4, 3))


def test_slice_names_the_bounds_outside():
    with pytest.raises(ShapeError, match=r"slice: 1 to 9 \(axis 1\) does not lie in 0 to 5"):
        ops.slice_(symbolic(2, 5), (0, 1), (2, 9))


def test_slice_refuses_to_go_backwards():
    with pytest.raises(ArgumentError, match="use reverse"):
        ops.slice_(symbolic(2), (0,), (2,), (-1,))


# pad


@pytest.mark.parametrize(
    ("shape", "low", "high", "interior"),
    [
        ((), (), (), ()),
        ((3,), (2,), (1,), (0,)),
        ((3,), (0,), (0,), (2,)),
        ((5,), (-2,), (-1,), (0,)),
        ((5,), (-1,), (3,), (1,)),
        ((4,), (-2,), (-2,), (2,)),
        ((3,), (-5,), (7,), (0,)),
        ((3,), (4,), (-5,), (0,)),
        ((0,), (2,), (1,), (3,)),
        ((1,), (-1,), (0,), (2,)),
        ((2, 3), (1, -1), (0, 2), (1, 2)),
        ((2, 0), (1, 0), (0, 0), (0, 1)),
    ],
)
def test_pad(shape, low, high, interior, rng):
    x, value = numbers(shape), np.array(-7.5)
    expected = padded(x, value, low, high, interior)
    check_op(lambda x, v: ops.pad(x, v, low, high, interior), [x, value], expected, rng=rng)


def test_random_pads(rng):
    for _ in range(30):
        shape = tuple(int(n) for n in rng.integers(0, 5, 2))
        interior = [int(k) for k in rng.integers(0, 3, 2)]
        low, high = ([int(edge) for edge in rng.integers(-3, 4, 2)] for _ in range(2))
        sizes = [n + max(n - 1, 0) * k for n, k in zip(shape, interior, strict=True)]
        high = [max(hi, -lo - size) for lo, hi, size in zip(low, high, sizes, strict=True)]
        x, value = numbers(shape), np.array(0.5)
        expected = padded(x, value, low, high, interior)
        check_op(lambda x, v, of=(low, high, interior): ops.pad(x, v, *of), [x, value], expected, rng=rng, batch=False)


def test_pad_refuses_to_remove_more_than_there_is():
    with pytest.raises(ShapeError, match="remove more than the 3 elements"):
        ops.pad(symbolic(3), symbolic(), (-2,), (-2,))


def test_pad_refuses_a_value_that_is_not_a_scalar():
    with pytest.raises(DTypeError, match=r"the padding value is f32\[1\]"):
        ops.pad(symbolic(3), symbolic(1), (1,), (1,))


def test_pad_carries_a_symbolic_axis():
    n = Symbol("n")
    assert ops.pad(symbolic(n, 3), symbolic(), (0, 1), (0, 1)).shape == (n, 5)


# concatenate


@pytest.mark.parametrize(
    ("shapes", "dimension"),
    [
        ([(3,)], 0),
        ([(3,), (2,)], 0),
        ([(0,), (2,), (0,), (5,), (1,)], 0),
        ([(0,), (0,)], 0),
        ([(2, 3), (2, 1), (2, 4)], 1),
        ([(1, 3), (2, 3)], 0),
        ([(0, 3), (0, 2)], 1),
    ],
)
def test_concatenate(shapes, dimension, rng):
    xs = [numbers(shape) + 100 * n for n, shape in enumerate(shapes)]
    check_op(lambda *xs: ops.concatenate(xs, dimension), xs, np.concatenate(xs, dimension), rng=rng)


def test_concatenate_keeps_bools(rng):
    check_reference(
        apply_once(lambda x: ops.concatenate([x, x], 0), [np.array([True, False])]),
        np.array([True, False, True, False]),
    )


def test_concatenate_names_the_operand_that_does_not_fit():
    x = symbolic(2, 3)
    y = x.builder.parameter(TensorType(dtypes.f32, (4, 4)))
    with pytest.raises(ShapeError, match="axis 0 is 2 in operand 0 and 4 in operand 1"):
        ops.concatenate([x, y], 1)


def test_concatenate_of_nothing_is_refused():
    with pytest.raises(ArgumentError, match="nothing to concatenate"):
        ops.concatenate([], 0)
