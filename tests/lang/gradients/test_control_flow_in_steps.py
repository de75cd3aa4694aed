"""`backward()` inside a compiled function goes through its branches and loops, as it does through Python's."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import tenfold as tn

W = tn.Tensor


def branch(w: W, x: W) -> W:
    loss = (w * x).sum()
    if loss > 1:
        loss = loss * (w**2).sum()
    elif loss < -10:
        loss = loss * 3
    else:
        loss = loss + loss.detach() * 5
    return loss


def turns(w: W, x: W) -> W:
    value = (w * x).sum() / 10
    while value < 50:
        value = value * value + w.sum() + 2
    return value


@pytest.mark.parametrize("function", [branch, turns])
def test_gradients_are_those_of_the_uncompiled_function(function: Callable[[W, W], W]) -> None:
    w = tn.tensor([1.0, 2.0, 3.0], requires_grad=True)

    def step(x: W) -> W:
        w.grad = None
        loss = function(w, x)
        loss.backward()
        return loss

    compiled = tn.compile(step)
    for number in (1.0, -0.1, -5.0):
        x = tn.full((3,), number)
        given = compiled(x).item(), w.grad.numpy()
        wanted = step(x).item(), w.grad.numpy()
        assert given[0] == pytest.approx(wanted[0], rel=1e-5)
        np.testing.assert_allclose(given[1], wanted[1], rtol=1e-5)


def test_gradients_flow_through_cond_and_both_results_of_scan() -> None:
    w = tn.tensor([1.0, 2.0, 3.0], requires_grad=True)

    @tn.compile
    def step(x: W) -> W:
        w.grad = None
        chosen = tn.cond(x.sum() > 0, lambda: w * x, lambda: w * 2)
        last, stacked = tn.scan(lambda carry, each: (carry + each, carry * each), tn.zeros(()), chosen)
        (last + stacked.sum()).backward()
        return last

    assert step(tn.ones(3)).item() == 6
    assert w.grad.tolist() == [6.0, 5.0, 4.0]
    step(-tn.ones(3))
    assert w.grad.tolist() == [22.0, 18.0, 14.0]


def test_gradients_cannot_be_turned_off_inside_a_branch() -> None:
    w = tn.tensor(1.0, requires_grad=True)

    @tn.compile
    def step(x: W) -> W:
        loss = w * x
        if loss > 1:
            with tn.no_grad():
                loss = loss * 2
        loss.backward()
        return loss

    with pytest.raises(tn.UnsupportedError, match=r"detach\(\)"):
        step(tn.tensor(3.0))
