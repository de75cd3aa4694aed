"""Constants and index sequences."""

from __future__ import annotations

import numpy as np
import pytest
from checking import apply_once, assert_same, check_element, check_reference

from tenfold_rt import dtypes
from tenfold_rt.errors import ArgumentError, DTypeError, UnsupportedError
from tenfoldc import ops
from tenfoldc.interpret import interpret_region
from tenfoldc.ir.builder import Builder, Var
from tenfoldc.ir.types import Symbol, TensorType
from tenfoldc.ops.creation import ConstantAttributes


def value_of(var: Var) -> np.ndarray:
    return interpret_region(var.builder.region([], [var]), [])[0]


def stored(var: Var) -> np.ndarray:
    attributes = var.builder.operations[-1].attributes
    assert isinstance(attributes, ConstantAttributes)
    return attributes.value


def test_constant_keeps_its_array_whatever_happens_to_the_users():
    array = np.arange(3.0)
    held = stored(ops.constant(Builder(), array))
    array[:] = 7
    assert_same(held, np.arange(3.0))
    assert not held.flags.writeable


def test_constant_of_equal_elements_is_a_broadcast_view():
    held = stored(ops.constant(Builder(), np.full((1000, 1000), 2.5)))
    assert held.strides == (0, 0)
    assert ops.splat_value(held) == 2.5


def test_zeros_of_both_signs_are_not_equal_elements():
    held = stored(ops.constant(Builder(), np.array([0.0, -0.0])))
    assert ops.splat_value(held) is None
    np.testing.assert_array_equal(np.signbit(held), [False, True])


@pytest.mark.parametrize("shape", [(), (0,), (1, 1), (2, 0, 3)])
def test_constant_of_any_shape(shape):
    assert_same(value_of(ops.constant(Builder(), np.ones(shape, np.float32))), np.ones(shape, np.float32))


def test_constant_takes_the_dtype_asked_for():
    assert_same(value_of(ops.constant(Builder(), 1e300, dtypes.f32)), np.float32(np.inf))


def test_constant_refuses_text():
    with pytest.raises(DTypeError, match="no element type"):
        ops.constant(Builder(), np.array(["a"]))


def test_constants_are_compared_by_identity():
    one, other = ConstantAttributes(np.zeros(1)), ConstantAttributes(np.ones(1))
    assert one != other
    assert len({one, other}) == 2


@pytest.mark.parametrize("value", [True, -3, 0.1])
def test_element_of_a_repeated_constant(value):
    check_element(apply_once(lambda x: ops.full(x.builder, ops_type(value), value), [np.zeros(())]))


def ops_type(value: bool | int | float) -> TensorType:
    dtype = {bool: dtypes.bool_, int: dtypes.i8, float: dtypes.f32}[type(value)]
    return TensorType(dtype, (2, 3))


def test_element_of_other_constants_is_refused():
    with pytest.raises(UnsupportedError, match="read from memory"):
        check_element(apply_once(lambda x: ops.constant(x.builder, [1, 2]), [np.zeros(())]))


def test_full_of_symbolic_shape_repeats_a_scalar():
    shape = (Symbol("n"), 4)
    assert ops.full(Builder(), TensorType(dtypes.f32, shape), 1.5).shape == shape


def test_zeros_and_ones_like_follow_type():
    x = Builder().parameter(TensorType(dtypes.u8, (2,)))
    assert_same(value_of(ops.zeros_like(x)), np.zeros(2, np.uint8))
    assert_same(value_of(ops.ones_like(x)), np.ones(2, np.uint8))


@pytest.mark.parametrize("dimension", [0, 1])
@pytest.mark.parametrize("dtype", [dtypes.i8, dtypes.u64, dtypes.f32])
def test_iota_counts_along_its_axis(dimension, dtype):
    type_ = TensorType(dtype, (3, 5))
    application = apply_once(lambda x: ops.iota(x.builder, type_, dimension), [np.zeros(())])
    check_reference(application, np.indices((3, 5))[dimension].astype(dtype.numpy))
    check_element(application)


def test_iota_wraps_like_its_integer_type():
    found = value_of(ops.iota(Builder(), TensorType(dtypes.i8, (130,)), 0))
    assert found[129] == -127


def test_iota_of_no_elements():
    assert value_of(ops.iota(Builder(), TensorType(dtypes.i32, (0,)), 0)).shape == (0,)


def test_iota_refuses_a_missing_axis():
    with pytest.raises(ArgumentError, match="axis 1 is not one of"):
        ops.iota(Builder(), TensorType(dtypes.i32, (3,)), 1)


def test_iota_refuses_bools():
    with pytest.raises(DTypeError, match="cannot count"):
        ops.iota(Builder(), TensorType(dtypes.bool_, (3,)), 0)
