"""Recurrent layers agree with PyTorch's, in all directions and with the gradients of all weights."""

from __future__ import annotations

import numpy as np
import pytest
from torch_cases import Case, check, made, normal, torch

import tenfold as tn

F = tn.nn.functional
GATES = {"lstm": 4, "gru": 3, "rnn_tanh": 1, "rnn_relu": 1}


def weights(kind: str, inputs: int, hidden: int, layers: int = 1, directions: int = 1, biases: bool = True, proj=0):
    """The weights of all layers, small enough for states to stay within bounds."""
    found = []
    rows, state = GATES[kind] * hidden, proj or hidden
    for layer in range(layers):
        for direction in range(directions):
            seed = 10 * layer + direction
            width = inputs if layer == 0 else state * directions
            found += [0.5 * normal(rows, width, seed=seed), 0.5 * normal(rows, state, seed=seed + 1)]
            found += [normal(rows, seed=seed + 2), normal(rows, seed=seed + 3)] if biases else []
            found += [0.5 * normal(proj, hidden, seed=seed + 4)] if proj else []
    return found


def layer(kind: str, *, time=4, batch=3, layers=1, directions=1, biases=True, first=False, proj=0) -> Case:
    states = 2 if kind == "lstm" else 1
    shape = (layers * directions, 5) if batch is None else (layers * directions, batch, 5)
    hidden = normal(*shape[:-1], proj or 5, seed=3)
    x = normal(time, 2) if batch is None else normal(*((batch, time) if first else (time, batch)), 2)

    def call(f, x, *rest):
        function = getattr(torch if f is torch.nn.functional else f, kind)
        hx = rest[:states] if states == 2 else rest[0]
        args = (biases, layers, 0.0, False, directions == 2)
        if batch is None and f is torch.nn.functional:  # whose modules add the batch
            x, hx = x[:, None], [each[:, None] for each in hx] if states == 2 else hx[:, None]
            return [each[:, 0] for each in function(x, hx, list(rest[states:]), *args, first)]
        return function(x, hx, list(rest[states:]), *args, first)

    label = f"{kind} batch={batch} layers={layers} directions={directions} biases={biases} first={first} proj={proj}"
    params = weights(kind, 2, 5, layers, directions, biases, proj)
    return made(label, call, x, hidden, *([normal(*shape, seed=4)] if states == 2 else []), *params)


def test_sequences() -> None:
    check(
        [
            layer("lstm", directions=2, first=True),
            layer("gru", batch=None, biases=False),
            layer("rnn_tanh", layers=2),
        ]
    )


@pytest.mark.slow
def test_more_sequences() -> None:
    check(
        [
            layer("lstm", layers=2, directions=2, first=True),
            layer("lstm", batch=None, biases=False, directions=2),
            layer("lstm", proj=3, layers=2),
            layer("gru", layers=2, directions=2),
            layer("rnn_tanh", directions=2, first=True),
            layer("rnn_relu", layers=2, biases=False),
            layer("rnn_tanh", time=1, batch=1),
        ]
    )


def test_steps() -> None:
    def cell(kind, *, biases=True, batch=(3,)):
        arrays = [normal(*batch, 5, seed=seed) for seed in range(2 if kind == "lstm" else 1)]

        def call(f, x, *rest):
            function = getattr(torch if f is torch.nn.functional else f, kind + "_cell")
            return function(x, rest[:2], *rest[2:]) if kind == "lstm" else function(x, *rest)

        return made(kind + " cell", call, normal(*batch, 2), *arrays, *weights(kind, 2, 5, biases=biases))

    check([*map(cell, GATES), cell("lstm", biases=False), cell("gru", batch=(1,))])


def test_dropout_between_layers_happens_while_training_alone() -> None:
    params = weights("gru", 2, 5, 2)
    x, state = normal(4, 3, 2), normal(2, 3, 5)
    plain, trained, again = (
        np.asarray(F.gru(x, state, params, True, 2, dropout, train, False, False)[0])
        for dropout, train in ((0.5, False), (0.5, True), (0.0, True))
    )
    np.testing.assert_array_equal(plain, again)
    assert (plain != trained).any()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda f: f(normal(4, 3, 3), normal(1, 3, 5)), "input has 3 features"),
        (lambda f: f(normal(4, 3, 2), normal(2, 3, 5)), r"is not \(1, 3, features\)"),
        (lambda f: f(normal(4, 3, 2), normal(1, 5)), "three axes"),
        (lambda f: f(normal(4, 3, 2), normal(1, 3, 5), weights("gru", 2, 5)[:3]), "weights for 1 layers"),
        (lambda f: f(normal(4, 3, 2), normal(1, 3, 5), weights("lstm", 2, 5)), "3 gates"),
    ],
)
def test_wrong_shapes(call, message) -> None:
    def gru(x, state, params=None):
        return F.gru(x, state, params or weights("gru", 2, 5), True, 1, 0.0, False, False, False)

    with pytest.raises(RuntimeError, match=message):
        call(gru)
