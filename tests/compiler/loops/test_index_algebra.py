"""Index arithmetic in normal form: proved equal to the original on every index."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest

from tenfold_rt import dtypes
from tenfoldc.loops import scalar
from tenfoldc.loops.evaluate import evaluate
from tenfoldc.loops.index_algebra import IndexAlgebra
from tenfoldc.loops.ir import Axis, Constant, Expr

EXTENTS = {"i": 6, "j": 4, "k": 5}


@pytest.fixture
def algebra() -> IndexAlgebra:
    return IndexAlgebra()


@pytest.fixture
def axes(algebra: IndexAlgebra) -> dict[str, Axis]:
    return {name: algebra.declare(Axis(name), extent) for name, extent in EXTENTS.items()}


def combine(*terms: tuple[Expr, int]) -> Expr:
    total: Expr = scalar.index(0)
    for term, coefficient in terms:
        total = scalar.add(total, scalar.mul(term, scalar.index(coefficient)))
    return total


def test_a_quotient_of_a_row_major_index_is_the_outer_axis(algebra: IndexAlgebra, axes: dict[str, Axis]) -> None:
    flat = combine((axes["i"], 4), (axes["j"], 1))
    assert algebra.simplify(scalar.div(flat, scalar.index(4))) is axes["i"]
    assert algebra.simplify(scalar.rem(flat, scalar.index(4))) is axes["j"]


def test_a_split_axis_is_put_together_again(algebra: IndexAlgebra, axes: dict[str, Axis]) -> None:
    whole = algebra.declare(Axis("whole"), 24)
    parts = [scalar.div(whole, scalar.index(4)), scalar.rem(whole, scalar.index(4))]
    assert algebra.expression(algebra.offset(parts, (6, 4))) is whole


def test_three_parts_of_an_axis_are_put_together_again(algebra: IndexAlgebra) -> None:
    whole = algebra.declare(Axis("whole"), 120)
    middle = scalar.rem(scalar.div(whole, scalar.index(5)), scalar.index(4))
    parts = [scalar.div(whole, scalar.index(20)), middle, scalar.rem(whole, scalar.index(5))]
    assert algebra.expression(algebra.offset(parts, (6, 4, 5))) is whole


def test_a_clamp_that_never_acts_disappears(algebra: IndexAlgebra, axes: dict[str, Axis]) -> None:
    clamped = scalar.maximum(scalar.index(0), scalar.minimum(axes["i"], scalar.index(5)))
    assert algebra.simplify(clamped) is axes["i"]


def test_equal_sums_are_one_expression(algebra: IndexAlgebra, axes: dict[str, Axis]) -> None:
    left = scalar.add(scalar.mul(axes["i"], scalar.index(4)), axes["j"])
    right = scalar.add(axes["j"], scalar.mul(scalar.index(4), axes["i"]))
    assert algebra.simplify(left) is algebra.simplify(right)


@pytest.mark.parametrize(("bound", "verdict"), [(6, True), (0, False), (3, None)])
def test_comparisons_are_decided_by_ranges(
    algebra: IndexAlgebra, axes: dict[str, Axis], bound: int, verdict: bool | None
) -> None:
    assert algebra.decide(scalar.less(axes["i"], scalar.index(bound))) is verdict


def test_an_axis_of_one_turn_is_zero(algebra: IndexAlgebra) -> None:
    position = algebra.simplify(algebra.declare(Axis("unit"), 1))
    assert isinstance(position, Constant)
    assert position.value == 0


def random_index(source: random.Random, axes: list[Axis], depth: int) -> Expr:
    """Sums, products, quotients, remainders and clamps over `axes`, never negative where one divides."""
    if depth == 0:
        return source.choice(axes) if source.random() < 0.7 else scalar.index(source.randrange(5))
    left = random_index(source, axes, depth - 1)
    match source.randrange(6):
        case 0 | 1:
            return scalar.add(left, random_index(source, axes, depth - 1))
        case 2:
            return scalar.mul(left, scalar.index(source.choice((1, 2, 3, 4, 8))))
        case 3:
            return scalar.div(left, scalar.index(source.choice((1, 2, 3, 4, 6))))
        case 4:
            return scalar.rem(left, scalar.index(source.choice((1, 2, 3, 4, 6))))
        case _:
            return scalar.maximum(scalar.index(source.randrange(3)), scalar.minimum(left, scalar.index(7)))


@pytest.mark.parametrize("seed", range(60))
def test_the_normal_form_is_equal_on_every_index(algebra: IndexAlgebra, axes: dict[str, Axis], seed: int) -> None:
    source = random.Random(seed)
    expression = random_index(source, list(axes.values()), 4)
    simple = algebra.simplify(expression)
    low, high = algebra.range_of(algebra.form(expression))
    turns = np.array(list(itertools.product(*(range(extent) for extent in EXTENTS.values()))), np.int64)
    values = {axis: turns[:, number] for number, axis in enumerate(axes.values())}
    expected = np.broadcast_to(evaluate(expression, values), len(turns))
    np.testing.assert_array_equal(np.broadcast_to(evaluate(simple, values), len(turns)), expected)
    assert low <= expected.min()
    assert expected.max() <= high
    assert expression.dtype == dtypes.i64
