"""Slices whose place is data."""

from __future__ import annotations

import numpy as np
import pytest
from checking import apply_once, check_batching, check_derivatives, check_element, check_op, check_reference

from tenfold_rt import dtypes
from tenfold_rt.errors import DTypeError, ShapeError
from tenfoldc import ops
from tenfoldc.ir.builder import Builder
from tenfoldc.ir.types import TensorType

CASES = [
    ((), (), ()),
    ((7,), (3,), (2,)),
    ((7,), (3,), (7,)),
    ((7,), (3,), (0,)),
    ((0,), (1,), (0,)),
    ((5, 3), (1, 2), (2, 1)),
    ((5, 3), (-4, 9), (2, 2)),
]


def place(starts, shape, sizes):
    clamped = [min(max(start, 0), size - taken) for start, size, taken in zip(starts, shape, sizes, strict=True)]
    return tuple(slice(start, start + taken) for start, taken in zip(clamped, sizes, strict=True))


@pytest.mark.parametrize(("shape", "starts", "sizes"), CASES)
def test_dynamic_slice(shape, starts, sizes, rng):
    x = rng.standard_normal(shape)
    operands = [x, *(np.array(start, np.int32) for start in starts)]
    check_op(
        lambda x, *at: ops.dynamic_slice(x, at, sizes), operands, np.asarray(x[place(starts, shape, sizes)]), rng=rng
    )


@pytest.mark.parametrize(("shape", "starts", "sizes"), CASES)
def test_dynamic_update_slice(shape, starts, sizes, rng):
    x, update = rng.standard_normal(shape), rng.standard_normal(sizes)
    expected = x.copy()
    expected[place(starts, shape, sizes)] = update
    operands = [x, update, *(np.array(start, np.int64) for start in starts)]
    check_op(lambda x, u, *at: ops.dynamic_update_slice(x, u, at), operands, expected, rng=rng)


@pytest.mark.parametrize("start", [0, 3, 200, 2**63, 2**64 - 1])
def test_unsigned_starts_beyond_i64_are_clamped(start):
    application = apply_once(lambda x, at: ops.dynamic_slice(x, [at], [2]), [np.arange(300), np.uint64(start)])
    first = min(start, 298)
    check_reference(application, np.array([first, first + 1]))
    check_element(application)


@pytest.mark.parametrize("start", [-128, 0, 127])
def test_starts_narrower_than_the_axis(start, rng):
    application = apply_once(
        lambda x, u, at: ops.dynamic_update_slice(x, u, [at]),
        [np.arange(300.0), np.array([-1.0, -2.0]), np.int8(start)],
    )
    expected = np.arange(300.0)
    expected[max(start, 0) : max(start, 0) + 2] = [-1, -2]
    check_reference(application, expected)
    check_element(application)
    check_derivatives(application, rng)


def test_update_with_narrow_batched_starts(rng):
    application = apply_once(
        lambda x, u, at: ops.dynamic_update_slice(x, u, [at]),
        [np.arange(300.0), np.array([-1.0, -2.0]), np.int8(5)],
    )
    check_batching(application, rng)


def test_a_block_larger_than_the_operand_is_refused():
    builder = Builder()
    x, start = builder.parameter(TensorType(dtypes.f32, (3,))), builder.parameter(TensorType(dtypes.i32))
    with pytest.raises(ShapeError, match=r"size 4 does not fit into 3 \(axis 0\)"):
        ops.dynamic_slice(x, [start], (4,))


def test_a_float_start_is_refused():
    x = Builder().parameter(TensorType(dtypes.f32, (3,)))
    start = x.builder.parameter(TensorType(dtypes.f32))
    with pytest.raises(DTypeError, match=r"start 0 is f32\[\]"):
        ops.dynamic_slice(x, [start], (2,))
