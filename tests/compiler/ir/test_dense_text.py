"""Constants are printed exactly and every spelling of MLIR is read."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tenfold_rt import dtypes
from tenfoldc.ir.dense_text import parse_dense, print_dense
from tenfoldc.ir.types import TensorType

F32 = TensorType(dtypes.f32)


@given(st.data())
def test_every_bit_survives(data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from(dtypes.ALL))
    shape = data.draw(arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=7))
    held = np.dtype(np.uint16) if dtype is dtypes.bf16 else dtype.numpy
    array = data.draw(arrays.arrays(held, shape, elements=arrays.from_dtype(held))).view(dtype.numpy)
    again = parse_dense(print_dense(array), TensorType(dtype, shape))
    assert (again.dtype, again.shape) == (array.dtype, array.shape)
    if not dtype.is_complex:  # a NaN of a complex number passes through Python's, which has one NaN
        assert again.tobytes() == array.tobytes()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.float32(0.5), "5.000000e-01"),
        (np.float32(1) / 3, "0.33333334"),
        (np.float32(1.1e-30), "1.100000e-30"),
        (np.float32(np.pi * 1e20), "3.1415925e+20"),
        (np.float32(-0.0), "-0.000000e+00"),
        (np.float32(np.inf), "0x7F800000"),
        (np.float64(-np.inf), "0xFFF0000000000000"),
        (np.uint32(0x7FC00123).view(np.float32), "0x7FC00123"),
        (np.float64(0.1), "1.000000e-01"),
        (np.int8(-128), "-128"),
        (np.uint64(2**64 - 1), "18446744073709551615"),
        (np.bool_(True), "true"),
        (np.float16(0.1), "9.997559e-02"),
        (dtypes.bf16.numpy.type(0.1), "1.000977e-01"),
        (dtypes.bf16.numpy.type(3e38), "3.004055e+38"),
        (dtypes.bf16.numpy.type(np.inf), "0x7F80"),
    ],
)
def test_scalar_text(value: np.generic, text: str) -> None:
    assert print_dense(np.asarray(value)) == text


def test_equal_elements_print_as_one_and_stay_one_in_memory() -> None:
    array = np.broadcast_to(np.float32(2), (1000, 1000))
    assert print_dense(array) == "2.000000e+00"
    assert parse_dense("2.0", TensorType(dtypes.f32, (1000, 1000))).strides == (0, 0)
    assert parse_dense("[[2.0, 2.0]]", TensorType(dtypes.f32, (1, 2))).strides == (0, 0)


def test_lists_nest_as_the_shape() -> None:
    assert print_dense(np.arange(6, dtype=np.int32).reshape(2, 3)) == "[[0, 1, 2], [3, 4, 5]]"


def test_long_constant_is_a_blob_of_little_endian_bytes() -> None:
    array = np.arange(101, dtype=np.int16)
    text = print_dense(array)
    assert text.startswith('"0x000001000200')
    assert (parse_dense(text, TensorType(dtypes.i16, (101,))) == array).all()


def test_long_bools_take_a_byte_each() -> None:
    array = np.arange(105) % 3 == 0
    text = print_dense(array)
    assert text.startswith('"0x01000001')
    assert (parse_dense(text, TensorType(dtypes.bool_, (105,))) == array).all()


@pytest.mark.parametrize(
    ("text", "dtype", "expected"),
    [
        ("0x7FC00000", dtypes.f32, np.nan),
        ("-2.38197633E+38", dtypes.f32, -2.38197633e38),
        ("1.", dtypes.f64, 1.0),
        ("3", dtypes.f32, 3.0),
        ("0xFF", dtypes.u8, 255),
        ("0xFF", dtypes.i8, -1),
        ('"0x0000803F"', dtypes.f32, 1.0),
        ("true", dtypes.bool_, True),
        ("-1", dtypes.bool_, True),
        ("(1.0, -2.0)", dtypes.c64, 1 - 2j),
        ("1.5", dtypes.bf16, 1.5),
        ("0x3FC0", dtypes.bf16, 1.5),
        ('"0xC03F"', dtypes.bf16, 1.5),
    ],
)
def test_spelling_of_an_element(text: str, dtype: dtypes.DType, expected: object) -> None:
    np.testing.assert_array_equal(parse_dense(text, TensorType(dtype, (2,))), np.full(2, expected, dtype.numpy))


def test_bools_of_older_mlir_are_packed_into_bits() -> None:
    assert parse_dense('"0x0502"', TensorType(dtypes.bool_, (10,))).tolist() == [1, 0, 1, 0, 0, 0, 0, 0, 0, 1]


@pytest.mark.parametrize(
    ("text", "type_", "message"),
    [
        ("[1, 2, 3]", TensorType(dtypes.i32, (2,)), "nesting"),
        ("[[1, 2, 3], [4]]", TensorType(dtypes.i32, (2, 2)), "nesting"),
        ("[1, 2, 3, 4]", TensorType(dtypes.i32, (2, 2)), "nesting"),
        ("300", TensorType(dtypes.u8), "300 does not fit u8"),
        ("one", F32, "'one' is not a number"),
        ("0x1FFFFFFFF", F32, "more than the 32 bits"),
        ('"0x00"', F32, "1 bytes for"),
    ],
)
def test_text_that_does_not_fit_its_type(text: str, type_: TensorType, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_dense(text, type_)
