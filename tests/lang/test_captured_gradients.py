"""Compiled functions and control flow over tensors from outside: gradients, changes in place, and what they leave."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tenfold as tn


def leaf(*numbers: float) -> Any:
    return tn.tensor([float(number) for number in numbers], requires_grad=True)


def test_gradients_flow_through_arguments_and_captured_tensors() -> None:
    w, x = leaf(3, 4), leaf(1, 2)
    f = tn.compile(lambda x: (w * x * x).sum())
    for _ in range(2):
        f(x).backward()
    assert (x.grad.tolist(), w.grad.tolist()) == ([12, 32], [2, 8])


def test_an_argument_that_requires_a_gradient_is_no_plain_one() -> None:
    square = tn.compile(lambda x: (x * x).sum())
    x = leaf(1, 2)
    assert not square(x.detach()).requires_grad
    square(x).backward()
    assert x.grad.tolist() == [2, 4]
    with tn.no_grad():
        assert not square(x).requires_grad


def test_what_is_computed_without_gradients_inside_is_constant() -> None:
    w = leaf(3, 4)
    outside = w.detach()

    @tn.compile
    def f(x: Any) -> Any:
        with tn.no_grad():
            largest = w.max() * w.max()
        return (w * largest * x).sum() + (w * w.detach()).sum() + (w * outside).sum()

    f(tn.ones(2)).backward()
    assert w.grad.tolist() == [16 + 6, 16 + 8]


def test_modes_and_requirements_are_what_a_program_was_compiled_for() -> None:
    w = tn.tensor([3.0, 4.0])
    f = tn.compile(lambda x: (w * x).sum())
    assert not f(tn.ones(2)).requires_grad
    w.requires_grad_()
    with tn.no_grad():
        assert not f(tn.ones(2)).requires_grad
    f(tn.ones(2)).backward()
    assert w.grad.tolist() == [1, 1]


def test_changes_of_captured_tensors_carry_gradients() -> None:
    w, buffer = leaf(1, 1), tn.zeros(2)

    @tn.compile
    def f(x: Any) -> Any:
        buffer.copy_(w * x * 2)
        return (buffer * buffer).sum()

    (f(tn.ones(2)) + buffer.sum()).backward()
    assert w.grad.tolist() == [10, 10]


def test_views_gradients_and_state_are_left_as_an_eager_call_leaves_them() -> None:
    state: dict[str, Any] = {}
    w, total = leaf(1, 1), tn.zeros(3)
    part = total[1:]

    @tn.compile
    def step(x: Any) -> Any:
        (w * x).sum().backward()
        if "momentum" not in state:
            state["momentum"] = tn.zeros(2)
        state["momentum"].mul_(0.5).add_(w.grad)
        part.add_(x)
        with tn.no_grad():
            w.sub_(state["momentum"])
        return total.sum()

    assert [step(tn.ones(2)).item() for _ in range(3)] == [2, 4, 6]
    assert (w.grad.tolist(), part.tolist()) == ([3, 3], [3, 3])
    assert state["momentum"].tolist() == [4.25, 4.25]


def test_an_error_inside_leaves_everything_as_it_was() -> None:
    w, state = leaf(1, 1), tn.zeros(2)
    before = (w * w).sum() + (state * w).sum()

    @tn.compile
    def f(x: Any) -> Any:
        state.add_(w * x)
        (w * x).sum().backward()
        state[0] = 5
        raise KeyError

    with pytest.raises(KeyError):
        f(tn.ones(2))
    assert (state.tolist(), state.requires_grad, state._version, w.grad) == ([0, 0], False, 0, None)
    before.backward()
    assert w.grad.tolist() == [2, 2]


def test_compiled_functions_nest() -> None:
    w = leaf(1, 2)
    inner = tn.compile(lambda x: w * x)
    outer = tn.compile(lambda x: inner(x).sum() * 2)
    outer(tn.ones(2)).backward()
    assert w.grad.tolist() == [2, 2]


def test_gradients_flow_through_control_flow_of_eager_tensors() -> None:
    x, w = tn.tensor(2.0, requires_grad=True), tn.tensor(3.0, requires_grad=True)
    for positive, wanted in [(True, (3, 2)), (False, (9, 12))]:
        x.grad = w.grad = None
        tn.cond(tn.tensor(positive), lambda a: a * w, lambda a: a * w * w, x).backward()
        assert (x.grad.item(), w.grad.item()) == wanted
    xs = leaf(1, 2, 3)
    w.grad = None
    last, _ = tn.scan(lambda carry, each: (carry * each * w, carry), tn.tensor(1.0), xs)
    last.backward()
    assert (xs.grad.tolist(), w.grad.item()) == ([162, 81, 54], 162)


def test_control_flow_of_arrays_gives_arrays_unless_a_gradient_flows() -> None:
    branch = (lambda a: a * 2, lambda a: a * 3)
    assert isinstance(tn.cond(np.array(True), *branch, np.float32(1)), np.ndarray)
    w = tn.tensor(3.0, requires_grad=True)
    result = tn.cond(np.array(True), lambda a: a * w, lambda a: a, np.float32(2))
    result.backward()
    assert w.grad.item() == 2


def test_control_flow_that_is_called_again_compiles_nothing_anew() -> None:
    w = tn.tensor(3.0)

    def call() -> float:
        return tn.cond(w > 0, lambda a: a * w, lambda a: a, tn.tensor(2.0)).item()

    call()
    before = tn.lazy.counters().compiled
    assert [call() for _ in range(3)] == [6, 6, 6]
    assert tn.lazy.counters().compiled == before
