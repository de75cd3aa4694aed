"""What the turns of a loop make of parameters alone is made once, before the loop."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tenfold as tn

Array = Any


def normal(rng: np.random.Generator, *shape: int) -> Array:
    return rng.standard_normal(shape).astype(np.float32)


def loops(function: Callable[..., Any], *arguments: Any) -> tuple[str, str]:
    """What comes before the loop in the text of the kernel that holds it, and the loop."""
    text = tn.compile(function).lower(*arguments).text("loops")
    (kernel,) = [part for part in text.split("\nkernel ") if "while (" in part]
    before, loop = kernel.split("while (", 1)
    return before, loop


def writes_panels(text: str) -> bool:
    return re.search(r"[lr]hs_panels\d*\[.*\] = ", text) is not None or ", packing" in text


def powers(x: Array, w: Array) -> Array:
    return tn.fori_loop(0, 3, lambda i, x: tn.tanh(x @ w), x)


@pytest.mark.parametrize(("rows", "size"), [(16, 64), (5, 33), (30, 300)])
def test_the_panels_of_a_weight_are_made_before_the_loop(rows: int, size: int, rng: np.random.Generator) -> None:
    x, w = normal(rng, rows, size), normal(rng, size, size) / np.float32(size)
    before, loop = loops(powers, x, w)
    assert re.search(r"rhs_panels\d*\[.*\] = w\[", before)
    assert "w[" not in loop
    assert ", packing" not in loop
    want = x
    for _ in range(3):
        want = np.tanh(want @ w)
    np.testing.assert_allclose(np.asarray(tn.compile(powers)(x, w)), want, rtol=1e-4, atol=1e-5)


def test_transposed_weights_and_those_of_convolutions_too(rng: np.random.Generator) -> None:
    def transposed(x: Array, w: Array) -> Array:
        return tn.fori_loop(0, 3, lambda i, x: tn.tanh(x @ w.T), x)

    def convolved(x: Array, w: Array) -> Array:
        return tn.fori_loop(0, 3, lambda i, x: tn.tanh(tn.conv2d(x, w, padding=1)), x)

    shapes = [(transposed, (16, 64), (64, 64)), (convolved, (1, 32, 16, 16), (32, 32, 3, 3))]
    for function, x, w in shapes:
        before, loop = loops(function, normal(rng, *x), normal(rng, *w))
        assert "w" in before
        assert not re.search(r"\bw\[", loop)


def test_loops_in_loops_leave_it_to_the_outermost(rng: np.random.Generator) -> None:
    def nested(x: Array, w: Array) -> Array:
        return tn.fori_loop(0, 2, lambda i, x: tn.fori_loop(0, 3, lambda j, x: tn.tanh(x @ w), x), x)

    x, w = normal(rng, 16, 64), normal(rng, 64, 64) / np.float32(64)
    before, loop = loops(nested, x, w)
    assert re.search(r"rhs_panels\d*\[.*\] = w\[", before)
    assert not writes_panels(loop.replace("lhs_panels", ""))


def test_what_a_loop_changes_is_packed_in_each_turn(rng: np.random.Generator) -> None:
    def squares(x: Array, w: Array) -> Array:
        return tn.fori_loop(0, 3, lambda i, s: (tn.tanh(s[0] @ s[1]), s[1] * 0.5), (x, w))[0]

    x, w = normal(rng, 16, 128), normal(rng, 128, 128) / np.float32(128)
    before, loop = loops(squares, x, w)
    assert not writes_panels(before)
    assert writes_panels(loop)
    want, factor = x, w
    for _ in range(3):
        want, factor = np.tanh(want @ factor), factor * np.float32(0.5)
    np.testing.assert_allclose(np.asarray(tn.compile(squares)(x, w)), want, rtol=1e-4, atol=1e-5)


def test_a_product_in_a_branch_packs_for_itself(rng: np.random.Generator) -> None:
    def sometimes(x: Array, w: Array) -> Array:
        def turn(i: Array, x: Array) -> Array:
            return tn.cond(i % 2 == 0, lambda: tn.tanh(x @ w), lambda: x)

        return tn.fori_loop(0, 3, turn, x)

    before, loop = loops(sometimes, normal(rng, 16, 128), normal(rng, 128, 128))
    assert "w[" not in before
    assert ", packing" in loop
