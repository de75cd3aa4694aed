"""Gradients of Python functions: against PyTorch's, against closed forms, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

import tenfold as tn
from tenfold_rt.errors import ArgumentError, DTypeError, ShapeError


def array(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return np.asarray(rng.standard_normal(shape))


def loss(network, x, labels):
    hidden = tn.relu(tn.layer_norm(x @ network["w1"] + network["b1"], 6))
    return tn.cross_entropy(hidden @ network["w2"], labels)


def network(rng: np.random.Generator) -> dict[str, np.ndarray]:
    return {"w1": array(rng, 4, 6), "b1": array(rng, 6), "w2": array(rng, 6, 3)}


def test_gradient_of_a_network_agrees_with_torch(run, same, rng) -> None:
    torch = pytest.importorskip("torch")
    weights, x, labels = network(rng), array(rng, 5, 4), rng.integers(0, 3, 5)
    tensors = {name: torch.tensor(value, requires_grad=True) for name, value in weights.items()}
    hidden = torch.relu(torch.nn.functional.layer_norm(torch.tensor(x) @ tensors["w1"] + tensors["b1"], (6,)))
    value = torch.nn.functional.cross_entropy(hidden @ tensors["w2"], torch.tensor(labels))
    value.backward()
    ours = run(tn.value_and_grad(loss), weights, x, labels)
    same(ours, (value.detach().numpy(), {name: tensor.grad.numpy() for name, tensor in tensors.items()}), 1e-9)


def test_gradient_has_the_structure_of_the_argument(run, rng) -> None:
    gradient = run(tn.grad(loss), network(rng), array(rng, 5, 4), rng.integers(0, 3, 5))
    assert {name: value.shape for name, value in gradient.items()} == {"w1": (4, 6), "b1": (6,), "w2": (6, 3)}


def test_argnums_choose_the_arguments(run, same, rng) -> None:
    x, y = array(rng, 3), array(rng, 3)
    same(run(tn.grad(lambda x, y: tn.sum(x * y * y), argnums=(1, 0)), x, y), (2 * x * y, y * y), 1e-12)


def test_aux_is_handed_through(run, same, rng) -> None:
    x = array(rng, 3)
    same(
        run(tn.value_and_grad(lambda x: (tn.sum(x * x), {"twice": 2 * x}), has_aux=True), x),
        ((np.sum(x * x), 2 * x), 2 * x),
    )
    same(run(tn.grad(lambda x: (tn.sum(x * x), x.shape[0]), has_aux=True), x), (2 * x, np.int64(3)))


def test_gradients_of_gradients(run, same, rng) -> None:
    x = array(rng, 4)

    def slope(x):
        return tn.sum(tn.grad(lambda x: tn.sum(tn.sin(x) * x))(x))

    same(run(tn.grad(slope), x), 2 * np.cos(x) - x * np.sin(x), 1e-9)


def test_what_is_captured_is_constant_inside_and_differentiated_outside(run, same, rng) -> None:
    x = array(rng, 4)

    def outer(y):
        return tn.sum(tn.grad(lambda x: tn.sum(x * x * y))(y))

    same(run(tn.grad(outer), x), 4 * x, 1e-9)


def test_an_argument_that_has_no_influence_has_gradient_zero(run, same, rng) -> None:
    x = array(rng, 4)
    same(run(tn.grad(lambda x, y: tn.sum(y)), x, x), np.zeros(4))


def test_stop_gradient_stops(run, same, rng) -> None:
    x = array(rng, 4)
    same(run(tn.grad(lambda x: tn.sum(x * tn.stop_gradient(x))), x), x)


@pytest.mark.parametrize(
    ("function", "derivative"),
    [
        (lambda x: x**2, lambda x: 2 * x),
        (lambda x: x**3, lambda x: 3 * x**2),
        (lambda x: tn.softmax(x, 0) * np.arange(4.0), None),
        (lambda x: tn.logsumexp(x, 0), lambda x: np.exp(x) / np.exp(x).sum()),
        (lambda x: tn.cumsum(x, 0), lambda x: np.arange(4.0, 0, -1)),
        (lambda x: x[np.array([0, 0, 2])], lambda x: np.array([2.0, 0, 1, 0])),
        (lambda x: x.at[1:3].set(0), lambda x: np.array([1.0, 0, 0, 1])),
        (lambda x: x.at[::2].multiply(3), lambda x: np.array([3.0, 1, 3, 1])),
        (lambda x: tn.sort(x, axis=0) * np.arange(4.0), lambda x: np.argsort(np.argsort(x)).astype(float)),
        (lambda x: tn.maximum(x, 0), lambda x: (x > 0).astype(float)),
        (lambda x: tn.max(x), lambda x: (x == x.max()).astype(float)),
        (lambda x: tn.mean(x), lambda x: np.full(4, 0.25)),
        (lambda x: tn.var(x), lambda x: 2 * (x - x.mean()) / 3),
    ],
)
def test_gradient_of_a_function(run, same, rng, function, derivative) -> None:
    x = array(rng, 4)
    if derivative is None:
        weights = np.arange(4.0)
        p = np.exp(x) / np.exp(x).sum()
        expected = p * (weights - (p * weights).sum())
    else:
        expected = derivative(x)
    same(run(tn.grad(lambda x: tn.sum(function(x))), x), expected, 1e-9)


@pytest.mark.parametrize(
    ("function", "arguments", "error", "message"),
    [
        (lambda x: x * 2, (np.ones(3),), ShapeError, r"returns f64\[3\], but only one number has a gradient"),
        (lambda x: tn.sum(x), (np.arange(3),), DTypeError, r"argument 0 is i64\[3\]; gradients are of floats"),
        (lambda x: tn.argmax(x), (np.ones(3),), DTypeError, r"returns i64\[\], not a float"),
        (lambda x: {"x": x}, (np.ones(3),), ArgumentError, "returns a dict"),
    ],
)
def test_what_has_no_gradient_is_refused(function, arguments, error, message) -> None:
    with pytest.raises(error, match=message):
        tn.compile(tn.grad(function)).lower(*arguments)


def test_argnums_out_of_range_are_refused() -> None:
    with pytest.raises(ArgumentError, match=r"argnums has 1, but .* was given 1 positional"):
        tn.compile(tn.grad(tn.sum, argnums=1)).lower(np.ones(3))
