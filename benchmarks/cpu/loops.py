"""Loops that carry a state: an LSTM over a thousand steps, and its gradient; a filter whose steps are a few scalars."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
import torch.utils.checkpoint

import tenfold as tn
from benchmarks.cpu.case import Case, Computation, Functions, Mode, Tree, normal, weight

_THEME = "loops"
_STEPS, _BATCH, _HIDDEN = 1024, 16, 64
_SAMPLES = 100_000

_LSTM_FLOPS = 2.0 * _STEPS * _BATCH * 2 * _HIDDEN * 4 * _HIDDEN

_UNROLLED = {"compile": "a loop in Python, which it unrolls: minutes to compile"}
_EAGER = {"torch": "a loop in Python: seconds a call", "compile": "a loop in Python, which it unrolls"}


def _weights_and_series(rng: np.random.Generator) -> tuple[Tree, ...]:
    weights = weight(rng, _HIDDEN, 4 * _HIDDEN), weight(rng, _HIDDEN, 4 * _HIDDEN), np.zeros(4 * _HIDDEN, np.float32)
    return *(0.5 * matrix for matrix in weights), normal(rng, _STEPS, _BATCH, _HIDDEN)


def _cell(library: Any, sigmoid: Computation) -> Computation:
    """One step of an LSTM (Hochreiter and Schmidhuber, 1997) with `library`'s functions."""

    def step(weights: Tree, state: Tree, x: Tree) -> Tree:
        hidden, cell = state
        gates = x @ weights[0] + hidden @ weights[1] + weights[2]
        enter, forget, leave, candidate = (gates[:, n * _HIDDEN : (n + 1) * _HIDDEN] for n in range(4))
        cell = sigmoid(forget) * cell + sigmoid(enter) * library.tanh(candidate)
        return sigmoid(leave) * library.tanh(cell), cell

    return step


def _lstm(checkpoint: str | None) -> Computation:
    """The sum of the squares of the last hidden state; `checkpoint` as for `tn.scan`."""
    step = _cell(tn, tn.sigmoid)

    def loss(*inputs: Tree) -> Tree:
        *weights, series = inputs
        begin = tn.zeros((_BATCH, _HIDDEN))
        (hidden, _), _ = tn.scan(
            lambda s, x: (step(weights, s, x), None), (begin, begin), series, checkpoint=checkpoint
        )
        return (hidden * hidden).sum()

    return loss


def _lstm_jax(checkpoint: str | None) -> Computation:
    step = _cell(jnp, jax.nn.sigmoid)

    def loss(*inputs: Tree) -> Tree:
        *weights, series = inputs
        begin = jnp.zeros((_BATCH, _HIDDEN), jnp.float32)

        def steps(state: Tree, series: Tree) -> Tree:
            return jax.lax.scan(lambda s, x: (step(weights, s, x), None), state, series)

        if checkpoint is None:
            (hidden, _), _ = steps((begin, begin), series)
        else:
            chunks = series.reshape(math.isqrt(_STEPS), -1, _BATCH, _HIDDEN)
            (hidden, _), _ = jax.lax.scan(jax.checkpoint(steps), (begin, begin), chunks)
        return (hidden * hidden).sum()

    return loss


def _lstm_torch(checkpoint: str | None) -> Computation:
    step = _cell(torch, torch.sigmoid)

    def loss(*inputs: Tree) -> Tree:
        *weights, series = inputs

        def steps(hidden: Tree, cell: Tree, series: Tree) -> Tree:
            for x in series:
                hidden, cell = step(weights, (hidden, cell), x)
            return hidden, cell

        state = torch.zeros(_BATCH, _HIDDEN), torch.zeros(_BATCH, _HIDDEN)
        if checkpoint is None:
            state = steps(*state, series)
        else:
            for chunk in series.reshape(math.isqrt(_STEPS), -1, _BATCH, _HIDDEN):
                state = torch.utils.checkpoint.checkpoint(steps, *state, chunk, use_reentrant=False)
        return (state[0] * state[0]).sum()

    return loss


def _lstms(checkpoint: str | None) -> Functions:
    return Functions(tenfold=_lstm(checkpoint), torch=_lstm_torch(checkpoint), jax=_lstm_jax(checkpoint))


def _filter(scan: Computation) -> Computation:
    """A resonance of two poles, sample by sample."""

    def resonance(signal: Tree) -> Tree:
        def step(state: Tree, x: Tree) -> Tree:
            last, before = state
            y = x + 1.8 * last - 0.9 * before
            return (y, last), y

        zero = signal[0] * 0
        return scan(step, (zero, zero), signal)[1]

    return resonance


def _scan_in_python(step: Computation, state: Tree, xs: Tree) -> Tree:
    ys: list[Tree] = []
    for x in xs:
        state, y = step(state, x)
        ys.append(y)
    return state, torch.stack(ys)


CASES = (
    Case(_THEME, "LSTM 1024 steps", _weights_and_series, _lstms(None), flops=_LSTM_FLOPS, excluded=_UNROLLED),
    Case(
        _THEME,
        "LSTM 1024 steps gradient",
        _weights_and_series,
        _lstms(None),
        Mode.GRADIENT,
        flops=3 * _LSTM_FLOPS,
        tolerance=1e-3,
        excluded=_UNROLLED,
    ),
    Case(
        _THEME,
        "LSTM 1024 steps gradient, checkpoints",
        _weights_and_series,
        _lstms("sqrt"),
        Mode.GRADIENT,
        flops=4 * _LSTM_FLOPS,
        tolerance=1e-3,
        excluded=_UNROLLED,
    ),
    Case(
        _THEME,
        "filter 100k samples",
        lambda rng: (normal(rng, _SAMPLES, dtype="float64"),),
        Functions(tenfold=_filter(tn.scan), torch=_filter(_scan_in_python), jax=_filter(jax.lax.scan)),
        bytes=_SAMPLES * 16,
        excluded=_EAGER,
    ),
)
