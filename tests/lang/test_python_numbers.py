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
    ],
)
def test_a_number_takes_the_type_of_what_it_meets_without_being_rounded_before(made: Callable[[], Any]) -> None:
    assert float(made()) == 0.1


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


def test_a_negative_integer_wraps_around_in_an_unsigned_type() -> None:
    assert tn.tensor([-1, 255], dtype=tn.uint8).tolist() == [255, 255]
    assert tn.full((2,), -1, dtype=tn.uint8).tolist() == [255, 255]


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
        (lambda: tn.cat([]), tn.ArgumentError, "concatenate: there is nothing to join"),
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
