"""Functions with a say in their own derivatives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tenfold as tn
from tenfold_rt.errors import ArgumentError, ShapeError, UnsupportedError


@tn.custom_jvp
def square_root(a: Any) -> Any:
    """Newton's method; its derivative is that of what it finds, not of how."""
    return tn.while_loop(lambda s: tn.abs(s * s - a) > 1e-12 * a, lambda s: 0.5 * (s + a / s), a)


@square_root.defjvp
def _square_root_rule(primals: Any, tangents: Any) -> Any:
    (a,), (da,) = primals, tangents
    root = square_root(a)
    return root, da / (2 * root)


def test_a_rule_that_calls_its_function_serves_all_orders() -> None:
    a = np.float64(3)
    np.testing.assert_allclose(square_root(a), np.sqrt(3), rtol=1e-12)
    np.testing.assert_allclose(tn.grad(square_root)(a), 0.5 * 3**-0.5, rtol=1e-12)
    np.testing.assert_allclose(tn.grad(tn.grad(square_root))(a), -0.25 * 3**-1.5, rtol=1e-12)
    np.testing.assert_allclose(tn.jvp(tn.grad(square_root), (a,), (a,))[1], -0.75 * 3**-1.5, rtol=1e-12)
    values = np.array([1.0, 4.0, 9.0])
    np.testing.assert_allclose(tn.vmap(tn.grad(square_root))(values), 0.5 / np.sqrt(values), rtol=1e-12)


def test_no_loop_is_differentiated_where_there_is_a_rule() -> None:
    text = tn.compile(tn.grad(square_root)).lower(tn.f64[()]).text("tensor")
    assert "tenfold.record" not in text


@tn.custom_vjp
def clip_gradient(x: Any, limit: Any) -> Any:
    return x


def _forward(x: Any, limit: Any) -> Any:
    return x, limit


def _backward(limit: Any, cotangent: Any) -> Any:
    return tn.clamp(cotangent, -limit, limit), None


clip_gradient.defvjp(_forward, _backward)


def test_a_rule_for_reverse_mode() -> None:
    x = np.array([0.1, 2.0, -3.0])
    found = tn.grad(lambda x: tn.sum(clip_gradient(x, 1.5) ** 2))(x)
    np.testing.assert_allclose(found, np.clip(2 * x, -1.5, 1.5), rtol=1e-15)
    batched = tn.vmap(tn.grad(lambda x, limit: clip_gradient(x, limit) ** 2), in_axes=(0, None))(x, 1.0)
    np.testing.assert_allclose(batched, np.clip(2 * x, -1, 1), rtol=1e-15)


def test_forward_mode_needs_a_rule_for_it() -> None:
    with pytest.raises(UnsupportedError, match=r"reverse mode alone, at .*test_custom\.py:\d+; .*custom_jvp"):
        tn.jvp(lambda x: clip_gradient(x, 1.0), (np.ones(2),), (np.ones(2),))


def test_rules_that_do_not_fit_are_refused() -> None:
    x = np.ones(2)

    @tn.custom_jvp
    def f(x: Any) -> Any:
        return x * 2

    with pytest.raises(ArgumentError, match="f: custom_jvp has no rule"):
        f(x)
    f.defjvp(lambda primals, tangents: (primals[0] * 2, tangents[0].sum()))
    with pytest.raises(ShapeError, match=r"result of the rule's tangent is f64\[\], that of the function is f64\[2\]"):
        tn.grad(lambda x: tn.sum(f(x)))(x)

    @tn.custom_vjp
    def g(x: Any, y: Any) -> Any:
        return x * y

    g.defvjp(lambda x, y: (x * y, ()), lambda residuals, cotangent: cotangent)
    with pytest.raises(ArgumentError, match="a tuple, one cotangent for each of the 2 arguments"):
        tn.grad(lambda x: tn.sum(g(x, x)))(x)


def test_a_function_with_a_rule_takes_what_it_uses_as_arguments() -> None:
    def outer(x: Any) -> Any:
        @tn.custom_jvp
        def inner(y: Any) -> Any:
            return x * y

        inner.defjvp(lambda primals, tangents: (inner(*primals), tangents[0]))
        return inner(x)

    with pytest.raises(ArgumentError, match="uses a traced tensor from outside"):
        tn.compile(outer)(np.ones(2))


def test_a_checkpoint_changes_no_result() -> None:
    block = tn.checkpoint(lambda params, x: tn.tanh(params["w"] @ x))
    plain = lambda params, x: tn.tanh(params["w"] @ x)  # noqa: E731
    params = {"w": np.random.default_rng(0).standard_normal((3, 3))}
    x = np.arange(3.0)

    def loss(params: Any, block: Any) -> Any:
        return tn.sum(block(params, block(params, x)) ** 2)

    found = tn.grad(lambda p: loss(p, block))(params)
    np.testing.assert_allclose(found["w"], tn.grad(lambda p: loss(p, plain))(params)["w"], rtol=1e-13)
