"""Python's numbers where tensors are made of them: each is rounded once, and what does not fit is refused."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tenfold as tn
from tenfold import lazy


@pytest.mark.parametrize("make", [tn.tensor, tn.as_tensor, tn.asarray])
@pytest.mark.parametrize("data", [0.1, [0.1], [[0.1, 1]], [np.float64(0.1)]])
def test_numbers_are_rounded_to_the_asked_type_alone(make: Callable[..., tn.Tensor], data: object) -> None:
    assert make(data, dtype=tn.float64).flatten()[0].item() == 0.1


X = np.zeros(1)


@tn.compile
def carried(x: Any, turns: Any) -> Any:
    total = 0.1
    while turns > 0:
        total = total + x[0]
        turns = turns - 1
    return total


@pytest.mark.parametrize(
    "made",
    [
        lambda: tn.tensor(X).fill_(0.1),
        lambda: tn.nn.init.constant_(tn.tensor(X), 0.1),
        lambda: tn.tensor(X).index_fill_(0, tn.tensor([0]), 0.1),
        lambda: tn.tensor(X).masked_fill_(tn.tensor([True]), 0.1),
        lambda: tn.compile(lambda x: x.clone().fill_(0.1))(tn.tensor(X)),
        lambda: tn.cond(np.bool_(True), lambda: 0.1, lambda: X[0]),
        lambda: tn.switch(1, [lambda: X[0], lambda: 0.1]),
        lambda: tn.scan(lambda carry, x: (carry + x, None), 0.1, X)[0],
        lambda: tn.while_loop(lambda c: c[1] < 1, lambda c: (c[0] + X[0], c[1] + 1), (0.1, 0))[0],
        lambda: carried(X, 2),
        lambda: tn.compile(lambda x, number: x + number)(X, 0.1),
        lambda: tn.compile(lambda x, number: x + number * 2 - number)(tn.tensor(X), 0.1),
        lambda: tn.compile(lambda x: x["a"] + x["b"])({"a": X, "b": 0.1}),
        lambda: tn.compile(lambda x, number: x + number).lower(tn.f64[1], 0.1).compile()(X, np.array(0.1)),
        lambda: tn.grad(lambda x, number: tn.sum(x * number))(X, 0.1),
        lambda: tn.vmap(lambda x, number: x + number, in_dims=(0, None))(X, 0.1),
        lambda: tn.checkpoint(lambda x, number: x + number)(X, 0.1),
    ],
)
def test_a_number_takes_the_type_of_what_it_meets_without_being_rounded_before(made: Callable[[], Any]) -> None:
    assert np.asarray(made()).item() == 0.1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_float_argument_decides_no_type(dtype: type[np.generic]) -> None:
    scaled = tn.compile(lambda x, wide, number: (x * number, wide * number))
    x, wide = scaled(np.ones(1, np.float32), np.ones(1, dtype), 0.1)
    assert (x.dtype, wide.dtype) == (np.float32, dtype)
    assert (x[0], wide[0]) == (np.float32(0.1), dtype(0.1))  # pyright: ignore[reportCallIssue]


def test_a_float_argument_follows_the_arrays_of_each_call() -> None:
    doubled = tn.compile(lambda x, number: x * number * 2)
    for _ in range(2):
        for dtype in (np.float64, np.float32, np.int32):
            result = doubled(np.ones(1, dtype), 0.1)
            expected = 0.2 if dtype is np.float64 else np.float32(0.2)
            assert (result.dtype, result[0]) == (np.float64 if dtype is np.float64 else np.float32, expected)


def test_a_float_among_narrow_arguments_has_the_default_type() -> None:
    assert tn.compile(lambda x, number: number)(np.ones(1, np.float32), 0.1).dtype == np.float32
    lowered = tn.compile(lambda x, number: number).lower(tn.f32[1], 0.1)
    assert [str(type_) for type_ in lowered.module["<lambda>"].type.parameters] == ["f32[1]", "f32[]"]


def test_an_element_takes_all_of_a_number() -> None:
    x = tn.tensor(X)
    x[0] = 0.1
    assert x.item() == 0.1


def test_no_integer_takes_the_place_of_a_float_in_a_branch() -> None:
    with pytest.raises(tn.DTypeError, match=r"result of false_fn is i64.., that of true_fn is f32"):
        tn.cond(np.bool_(True), lambda: 0.5, lambda: tn.tensor(1))


def test_floats_become_integers_by_all_of_their_digits() -> None:
    assert tn.tensor([16777217.0, -2.9], dtype=tn.int64).tolist() == [16777217, -2]


def test_a_float_that_is_too_large_is_an_infinity_without_a_warning() -> None:
    double = tn.compile(lambda x, y: x * y * 1e300)
    assert tn.tensor([1e300, -1e300]).tolist() == [math.inf, -math.inf]
    assert tn.tensor([1e39], dtype=tn.bfloat16).item() == math.inf
    assert float(double(np.float32(1), 2.0)) == math.inf
    assert float(tn.compile(lambda x: x)(1e300)) == math.inf


def assigned(x: tn.Tensor, index: Any, number: float) -> tn.Tensor:
    x[index] = number
    return x


TAKING_A_NUMBER: list[Callable[[tn.Tensor, Any], tn.Tensor]] = [
    lambda x, number: x.fill_(number),
    lambda x, number: x.add_(number),
    lambda x, number: x.masked_fill_(x == 0, number),
    lambda x, number: x.index_fill_(0, tn.tensor([0]), number),
    lambda x, number: x.scatter_(0, tn.tensor([0]), number),
    lambda x, number: assigned(x, 0, number),
    lambda x, number: assigned(x, x == 0, number),
    lambda x, number: assigned(x, tn.tensor([0]), number),
    lambda x, number: x.at[0].set(number),
    lambda x, number: tn.where(x == 0, number, x),
    lambda x, number: tn.clamp(x, min=number),
    lambda x, number: tn.full_like(x, number),
    lambda x, number: x.new_full((1,), number),
    lambda x, number: tn.nn.functional.pad(x, (1, 1), value=number),
]


@pytest.mark.parametrize("put", TAKING_A_NUMBER)
@pytest.mark.parametrize("compiled", [False, True])
def test_an_integer_that_does_not_fit_is_refused_wherever_it_is_put(
    put: Callable[[tn.Tensor, Any], tn.Tensor], compiled: bool
) -> None:
    def call(number: int) -> tn.Tensor:
        return (tn.compile(lambda x: put(x.clone(), number)) if compiled else lambda x: put(x, number))(
            tn.zeros(1, dtype=tn.uint8)
        )

    assert call(255)[0].item() == 255
    assert call(-1)[0].item() == 255
    for number in (256, -256):
        with pytest.raises(tn.DTypeError, match=f"^{number} does not fit u8, at {re.escape(__file__)}"):
            call(number)


@pytest.mark.parametrize("number", [math.inf, math.nan, -0.5, 256.5])
@pytest.mark.parametrize("put", [lambda x, number: x.fill_(number), lambda x, number: tn.full_like(x, number)])
def test_a_float_that_no_integer_type_has_is_refused(put: Callable[[tn.Tensor, float], object], number: float) -> None:
    with pytest.raises(tn.DTypeError, match=f"^{number} does not fit u8"):
        put(tn.zeros(1, dtype=tn.uint8), number)


def test_a_float_is_cut_off_to_an_integer_by_all_of_its_digits() -> None:
    assert tn.zeros(1, dtype=tn.int64).fill_(16777217.9).item() == 16777217
    assert tn.zeros(1, dtype=tn.int8).fill_(-2.7).item() == -2


def test_a_negative_integer_wraps_around_in_an_unsigned_type() -> None:
    assert tn.tensor([-1, 255], dtype=tn.uint8).tolist() == [255, 255]
    assert tn.full((2,), -1, dtype=tn.uint8).tolist() == [255, 255]


def test_a_long_integer_is_rounded_to_a_float_of_16_bits() -> None:
    x = tn.zeros(1, dtype=tn.bfloat16)
    assert x.fill_(2**63).item() == tn.full_like(x, 2**63).item() == 2.0**63


def test_nothing_but_a_number_fills_a_tensor() -> None:
    with pytest.raises(tn.DTypeError, match="a tensor cannot be filled with None, which is no number"):
        tn.full_like(tn.ones(2), None)  # pyright: ignore[reportArgumentType]


def test_none_for_nan_is_zero() -> None:
    assert tn.nan_to_num(tn.tensor([math.nan, math.inf], dtype=tn.bfloat16), None, 2**10).tolist() == [0, 2**10]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: tn.tensor([1, 300], dtype=tn.uint8), "300 does not fit u8, at"),
        (lambda: tn.tensor([-257], dtype=tn.uint8), "-257 does not fit u8, at"),
        (lambda: tn.tensor([0.0, math.nan], dtype=tn.int32), "nan does not fit i32, at"),
        (lambda: tn.tensor([9.3e18], dtype=tn.int64), "9.3e+18 does not fit i64, at"),
        (lambda: tn.tensor([2**70]), "1180591620717411303424 does not fit i64, at"),
        (lambda: tn.full((2,), 2**70), "1180591620717411303424 does not fit i64, at"),
        (lambda: tn.full((2,), 300, dtype=tn.uint8), "300 does not fit u8, at"),
        (lambda: tn.full((2,), math.nan, dtype=tn.int32), "nan does not fit i32, at"),
        (lambda: tn.full_like(tn.ones(2, dtype=tn.int32), 2**40), "1099511627776 does not fit i32, at"),
        (lambda: tn.compile(lambda x: x * 10**5000)(tn.ones(2)), "an integer of 16610 bits does not fit f32, at"),
    ],
)
def test_what_does_not_fit_is_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(tn.DTypeError, match=re.escape(message)):
        make()


def test_a_long_integer_is_a_constant_at_any_time_and_others_stay_operands() -> None:
    x = tn.ones(2, 3, 5)
    for _ in range(2):
        assert (x * 2**100).max().item() == 2.0**100
        assert (x * 3).max().item() == 3
    before = lazy.counters().compiled
    assert (x * 4).max().item() == 4
    assert lazy.counters().compiled == before
    assert tn.full((1,), 2**64 - 1, dtype=tn.uint64).item() == 2**64 - 1


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: tn.tensor([[1], [1, 2]]), tn.ShapeError, "a list whose parts differ in length is no tensor"),
        (lambda: tn.ones((1,) * 65), tn.ShapeError, "a tensor has 65 axes; it can have 64"),
        (lambda: tn.arange(math.inf), tn.ArgumentError, "arange: the range from 0 to inf by 1 has no end"),
        (lambda: tn.cat([]), tn.ArgumentError, "cat: there is nothing to join"),
        (lambda: tn.concatenate([]), tn.ArgumentError, "concatenate: there is nothing to join"),
        (lambda: tn.ones(2).chunk(0), tn.ArgumentError, "chunk: the number of chunks is 0, not positive"),
        (lambda: tn.stack([]), tn.ArgumentError, "stack: there is nothing to join"),
        (lambda: tn.ones(4).reshape(-1, -1), tn.ShapeError, "(-1, -1) has more than one -1"),
        (lambda: tn.ones(0, 3).reshape(-1, 0), tn.ShapeError, "any size would do for -1 in (-1, 0)"),
    ],
)
def test_a_shape_that_cannot_be_is_refused(
    make: Callable[[], object], error: type[tn.TenfoldError], message: str
) -> None:
    with pytest.raises(error, match=re.escape(message)):
        make()


def test_complex_numbers_are_as_wide_as_floats() -> None:
    assert [tn.tensor([each, 1]).dtype for each in (0.5, 1j)] == [tn.float32, tn.complex64]
    assert tn.tensor([np.complex128(1j)]).dtype == tn.complex128


def test_a_negative_argument_is_none_of_an_unsigned_spec() -> None:
    same = tn.compile(_of_spec)
    assert same(255) == 255
    for number in (-1, 256):
        with pytest.raises(tn.SpecError, match=f"argument `x`: {number} does not fit u8"):
            same(number)


def _of_spec(x: tn.u8[()]) -> Any:
    return x
