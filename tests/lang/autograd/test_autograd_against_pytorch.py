"""Autograd against PyTorch's: each case runs with both libraries, and gives equal values or errors of one class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tenfold as tn

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.filterwarnings("ignore")

Case = Callable[[Any], Any]
CASES: list[Case] = []


def case(function: Case) -> Case:
    CASES.append(function)
    return function


def leaf(library: Any, *numbers: float) -> Any:
    return library.tensor([float(number) for number in numbers], requires_grad=True)


def _outcome(function: Case, library: Any) -> Any:
    try:
        return function(library)
    except Exception as error:  # compared with the other library's
        return error


def _assert_alike(ours: Any, theirs: Any) -> None:
    if isinstance(theirs, Exception):
        assert isinstance(ours, type(theirs)), (ours, theirs)
    elif isinstance(theirs, (tuple, list)):
        assert len(ours) == len(theirs)
        for our, their in zip(ours, theirs, strict=True):
            _assert_alike(our, their)
    elif isinstance(theirs, torch.Tensor):
        assert ours.requires_grad == theirs.requires_grad
        np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), 1e-4, 1e-4)
    else:
        assert ours == theirs


# Errors.


@case
def leaf_changed(m: Any) -> Any:
    leaf(m, 1, 2).add_(1)


@case
def part_of_leaf_set(m: Any) -> Any:
    leaf(m, 1, 2)[0] = 1


@case
def leaf_changed_by_mask(m: Any) -> Any:
    x = leaf(m, 1, 2)
    x[x > 1] = 1


@case
def repeated_memory_changed(m: Any) -> Any:
    m.tensor([1.0]).expand(3).add_(1)


@case
def saved_changed_through_view(m: Any) -> Any:
    y = leaf(m, 1, 2) * 1
    z = (y * y).sum()
    y[0] = 5
    z.backward()


@case
def saved_changed_through_detached(m: Any) -> Any:
    y = leaf(m, 1, 2) * 1
    z = (y * y).sum()
    y.detach().add_(1)
    z.backward()


@case
def saved_result_changed(m: Any) -> Any:
    y = leaf(m, 1, 2).exp()
    y.add_(1)
    y.sum().backward()


@case
def freed(m: Any) -> Any:
    x = leaf(m, 1, 2)
    z = (x * x).sum()
    z.backward()
    z.backward()


@case
def not_one_number(m: Any) -> Any:
    (leaf(m, 1, 2) * 2).backward()


@case
def gradient_of_another_shape(m: Any) -> Any:
    (leaf(m, 1, 2) * 2).backward(m.ones(3))


@case
def integers(m: Any) -> Any:
    m.tensor([1, 2]).requires_grad_()


@case
def numpy_of_leaf(m: Any) -> Any:
    leaf(m, 1).numpy()


@case
def hook_of_another_shape(m: Any) -> Any:
    y = leaf(m, 1, 2) * 2
    y.register_hook(lambda gradient: m.ones(5))
    y.sum().backward()


@case
def view_without_gradient_changed(m: Any) -> Any:
    x = leaf(m, 1, 2, 3) * 1
    with m.no_grad():
        part = x[:2]
    part.mul_(2)


# Changes in place.


@case
def a_change_that_saves_nothing_of_its_input(m: Any) -> Any:
    x = leaf(m, 1, 2, 3)
    y = x * 1
    z = y * 2  # needs 2 alone
    y.add_(1)
    (y + z).sum().backward()
    return x.grad


@case
def slices_written(m: Any) -> Any:
    w, s = leaf(m, 1, 2, 3), leaf(m, 5)
    x = w * 1
    x[1:2] = s * s
    x[0] = x[1] * 2
    (x * x).sum().backward()
    return w.grad, s.grad


@case
def rows_of_a_buffer_written(m: Any) -> Any:
    w, out = leaf(m, 1, 2, 3), m.zeros(3, 3)
    for row in range(3):
        out[row] = w * (row + 1)
    (out * out).sum().backward()
    return w.grad, out.requires_grad


@case
def a_view_follows_its_base(m: Any) -> Any:
    x, w = m.zeros(3), leaf(m, 1, 2, 3)
    part = x[:2]
    x.mul_(w)
    x.add_(w)
    part.sum().backward()
    return w.grad, part.requires_grad


@case
def overwritten_has_a_gradient_of_zero(m: Any) -> Any:
    w = leaf(m, 1, 2)
    x = w * 2
    x.fill_(7)
    x.sum().backward()
    return w.grad


# Derivatives of derivatives.


@case
def second_derivatives(m: Any) -> Any:
    x, found = leaf(m, 0.5, 1, 2), []
    for f in (m.exp, m.sin, m.tanh, m.log, m.sqrt, lambda x: x**3, lambda x: 1 / x, lambda x: x.cumsum(0) ** 2):
        (g,) = m.autograd.grad(f(x).sum(), x, create_graph=True)
        found.append(m.autograd.grad((g * g).sum(), x)[0])
    return found


@case
def by_an_intermediate(m: Any) -> Any:
    x = leaf(m, 0.5, 1, 2)
    h = x.sin()
    (g,) = m.autograd.grad((h**3).sum(), h, create_graph=True)
    return g, m.autograd.grad(g.sum(), h, retain_graph=True), m.autograd.grad((g * g).sum(), x)


@case
def third_derivative(m: Any) -> Any:
    x = leaf(m, 0.5, 1)
    (g,) = m.autograd.grad((x**4).sum(), x, create_graph=True)
    (h,) = m.autograd.grad(g.sum(), x, create_graph=True)
    return g, h, m.autograd.grad(h.sum(), x)


@case
def through_a_long_chain(m: Any) -> Any:
    x = leaf(m, 1, 2)
    y = x
    for _ in range(400):
        y = y * 1.002
    (g,) = m.autograd.grad((y * y).sum(), x, create_graph=True)
    return g, m.autograd.grad(g.sum(), x)


# Hooks, options, modes.


@case
def hooks(m: Any) -> Any:
    x = leaf(m, 1, 2)
    y, seen = x * 2, []
    y.register_hook(lambda gradient: seen.append(gradient.tolist()))
    y.register_hook(lambda gradient: gradient * 10)
    removed = y.register_hook(lambda gradient: gradient + 1)
    removed.remove()
    x.register_hook(lambda gradient: gradient - 1)
    y.retain_grad()
    (y * y + y).sum().backward()
    return seen, y.grad, x.grad


@case
def gradients_have_their_own_graphs(m: Any) -> Any:
    x, w = leaf(m, 1, 2), leaf(m, 3, 4)
    y = (x * x).sum() + (w * w * w).sum()
    return m.autograd.grad(y, x), m.autograd.grad(y, w)  # the first frees nothing of the second


@case
def unused_inputs(m: Any) -> Any:
    x, z = leaf(m, 1, 2), leaf(m, 1)
    y = (x * 2).sum()
    some = m.autograd.grad(y, [x, z], allow_unused=True, retain_graph=True)
    return some, m.autograd.grad(y, [x, z], materialize_grads=True)


@case
def several_roots(m: Any) -> Any:
    x = leaf(m, 1, 2)
    m.autograd.backward([(x * x).sum(), x * 3], [None, m.ones(2, dtype=m.float64)])
    return x.grad


@case
def accumulation_keeps_the_gradient(m: Any) -> Any:
    x = leaf(m, 1, 2)
    (x * 2).sum().backward()
    gradient = x.grad
    (x * 3).sum().backward()
    same = x.grad is gradient
    del x.grad
    return same, gradient, x.grad


@case
def modes(m: Any) -> Any:
    x, found = leaf(m, 1, 2), []

    @m.no_grad()
    def without() -> bool:
        return (x * 2).requires_grad

    @m.set_grad_enabled(False)
    def disabled() -> bool:
        return (x * 2).requires_grad

    @m.no_grad()
    def steps() -> Any:
        yield (x * 2).requires_grad
        yield (x * 2).requires_grad

    found += [without(), disabled(), (x * 2).requires_grad, list(steps())]
    with m.no_grad():
        found += [disabled(), (x * 2).requires_grad]
        with m.enable_grad():
            found += [(x * 2).requires_grad, disabled()]
    found += [(x * 1).requires_grad for _ in steps()]
    return found


# Functions.


def _cube(m: Any) -> Any:
    class Cube(m.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x * x * x

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            (x,) = ctx.saved_tensors
            return g * 3 * x * x

    return Cube.apply


def _exp(m: Any) -> Any:
    class Exp(m.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            y = x.exp()
            ctx.save_for_backward(y)
            return y

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            (y,) = ctx.saved_tensors
            return g * y

    return Exp.apply


@case
def functions_twice(m: Any) -> Any:
    x = leaf(m, 0.1, 0.2)
    y = (_exp(m)(_cube(m)(x) * 2) ** 2).sum()
    (g,) = m.autograd.grad(y, x, create_graph=True)
    (h,) = m.autograd.grad(g.sum(), x, create_graph=True)
    return y.detach(), g, h, m.autograd.grad(h.sum(), x)


@case
def function_whose_saved_tensor_is_changed(m: Any) -> Any:
    y = leaf(m, 1, 2) * 1
    z = _cube(m)(y)
    y.add_(1)
    z.sum().backward()


@case
def function_with_many_results(m: Any) -> Any:
    class Many(m.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any, k: int, w: Any) -> Any:
            ctx.save_for_backward(x, w)
            return x * w, x > 1, k

        @staticmethod
        def backward(ctx: Any, g: Any, _: Any, none: Any) -> Any:
            x, w = ctx.saved_tensors
            assert none is None
            return g * w, None, m.ones(4, 2) * g * x  # summed, as the leaf has one row

    x, w = leaf(m, 1, 2), leaf(m, 3, 4)
    y, mask, k = Many.apply(x, 5, w)
    y.sum().backward()
    return y.detach(), mask, k, x.grad, w.grad


@case
def function_that_changes_its_input(m: Any) -> Any:
    class Twice(m.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            x.mul_(2)
            ctx.mark_dirty(x)
            return x

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g * 2

    x = leaf(m, 1, 2)
    y = x * 1
    same = Twice.apply(y) is y
    (y * y).sum().backward()
    return same, y.grad_fn.name(), x.grad


@pytest.mark.parametrize("function", CASES, ids=lambda function: function.__name__)
def test_autograd_agrees_with_pytorch(function: Case) -> None:
    _assert_alike(_outcome(function, tn), _outcome(function, torch))


def _functional(m: Any) -> list[Any]:
    of = m.autograd.functional
    x, y, v = m.tensor([1.0, 2.0, 3.0]), m.tensor([2.0, 1.0]), m.tensor([1.0, -1.0, 2.0])

    def f(x: Any) -> Any:
        return x**3 * x.sum()

    def number(x: Any) -> Any:
        return (x**3).sum() * x[0]

    def two(x: Any, y: Any) -> Any:
        return x.sum() * y, x * y[0]

    def number_of_two(x: Any, y: Any) -> Any:
        return x.sum() ** 2 * y.sum() ** 2

    return [
        of.jacobian(f, x),
        of.jacobian(two, (x, y)),
        of.jacobian(lambda x: m.ones(2), x),
        of.hessian(number, x),
        of.hessian(number_of_two, (x, y)),
        of.vjp(f, x, v),
        of.vjp(two, (x, y), (y, v)),
        of.jvp(f, x, v),
        of.jvp(two, (x, y), (v, y)),
        of.vhp(number, x, v),
        of.hvp(number_of_two, (x, y), (v, y)),
    ]


def test_derivatives_of_functions_agree_with_pytorch() -> None:
    _assert_alike(_functional(tn), _functional(torch))


def test_gradients_are_checked_against_differences() -> None:
    x = tn.tensor([0.3, 0.7], dtype=tn.float64, requires_grad=True)
    assert tn.autograd.gradcheck(_cube(tn), (x,))
    assert tn.autograd.gradgradcheck(_exp(tn), (x,))

    class Wrong(tn.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g * 3

    assert not tn.autograd.gradcheck(Wrong.apply, (x,), raise_exception=False)


def test_a_backward_that_is_once_differentiable_is_not_twice() -> None:
    class Square(tn.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        @tn.autograd.function.once_differentiable
        def backward(ctx: Any, g: Any) -> Any:
            return g * 2 * ctx.saved_tensors[0]

    x = leaf(tn, 1, 2)
    (g,) = tn.autograd.grad(Square.apply(x).sum(), x, create_graph=True)
    assert g.tolist() == [2, 4]
    with pytest.raises(RuntimeError, match="once_differentiable"):
        g.sum().backward()
