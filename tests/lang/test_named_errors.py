"""An error names the function that was called, not one that it is made of."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

import tenfold as tn

EXTREMES = [tn.max, tn.min, tn.amax, tn.amin, tn.argmax, tn.argmin, tn.aminmax]
REDUCTIONS: list[Callable[..., Any]] = [
    *EXTREMES,
    tn.sum,
    tn.mean,
    tn.nansum,
    tn.nanmean,
    tn.median,
    tn.std_mean,
    tn.var_mean,
    tn.count_nonzero,
]


@pytest.mark.parametrize("function", EXTREMES)
@pytest.mark.parametrize("dim", [None, 0])
def test_an_extreme_of_nothing(function: Callable[..., Any], dim: int | None) -> None:
    with pytest.raises(tn.RangeError, match=f"^{function.__name__}: f32.0, 3. has no element to choose, at"):
        function(tn.zeros(0, 3), dim=dim)


@pytest.mark.parametrize("function", REDUCTIONS)
def test_an_axis_that_there_is_not(function: Callable[..., Any]) -> None:
    with pytest.raises(IndexError, match=f"^{function.__name__}: axis 7 is out of range for 2 axes, at"):
        function(tn.zeros(2, 3), dim=7)


@pytest.mark.parametrize("function", REDUCTIONS)
@pytest.mark.parametrize("dim", [1.5, 2j])
def test_an_axis_that_is_no_integer(function: Callable[..., Any], dim: object) -> None:
    with pytest.raises(
        TypeError, match=f"^{function.__name__}: the axis is {re.escape(repr(dim))}, not an integer, at"
    ):
        function(tn.zeros(2, 3), dim=dim)


@pytest.mark.parametrize("function", [tn.topk, tn.kthvalue])
def test_a_number_of_elements_that_is_no_integer(function: Callable[..., Any]) -> None:
    with pytest.raises(TypeError, match=rf"^{function.__name__}: k is 1\.0, not an integer, at"):
        function(tn.zeros(2, 3), 1.0)


def test_taking_by_another_name() -> None:
    x, index = tn.zeros(2, 3), tn.tensor([0])
    with pytest.raises(IndexError, match=r"^index_select: axis 2 is out of range"):
        tn.index_select(x, 2, index)
    with pytest.raises(IndexError, match=r"^take_along_dim: axis 2 is out of range"):
        tn.take_along_dim(x, index, 2)


@pytest.mark.parametrize("count", [-1, 2])
def test_more_axes_to_contract_than_there_are(count: int) -> None:
    with pytest.raises(IndexError, match=rf"^tensordot: {count} axes of f32\[2, 2\] and f32\[2\]"):
        tn.tensordot(tn.zeros(2, 2), tn.zeros(2), count)


@pytest.mark.parametrize("power", [float("inf"), -float("inf")])
def test_the_largest_size_of_nothing(power: float) -> None:
    with pytest.raises(tn.RangeError, match=r"^norm: f32\[0\] has no element to choose"):
        tn.norm(tn.zeros(0), power)


def test_what_does_not_join() -> None:
    with pytest.raises(tn.ShapeError, match=r"^cat: f32\[2, 2\] and f32\[0, 3\] differ in an axis other than 0"):
        tn.cat([tn.zeros(2, 2), tn.zeros(0, 3)])
