"""Training steps: forward, loss, backward and update, with the state updated in place."""

from __future__ import annotations

import itertools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own name for it

import tenfold as tn
from benchmarks.cpu.attention import jax_attention
from benchmarks.cpu.case import Case, Functions, Mode, Tree, normal, weight
from benchmarks.cpu.convolutions import jax_conv2d, jax_max_pool2d

_THEME = "training"


def _jax_cross_entropy(logits: jax.Array, y: jax.Array) -> jax.Array:
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], axis=1))


def _jax_layer_norm(x: jax.Array, w: jax.Array, b: jax.Array) -> jax.Array:
    return jax.nn.standardize(x, axis=-1, epsilon=1e-5) * w + b


# A network of three linear layers.


def _mlp_inputs(rng: np.random.Generator) -> tuple[Tree, ...]:
    sizes = (784, 512, 256, 10)
    state: dict[str, Any] = {}
    for number, (inputs, outputs) in enumerate(itertools.pairwise(sizes)):
        state[f"w{number}"] = weight(rng, outputs, inputs)
        state[f"b{number}"] = np.zeros(outputs, np.float32)
    return state, normal(rng, 128, 784), rng.integers(0, 10, 128)


def _mlp(state: Tree, x: Tree, y: Tree) -> Tree:
    x = tn.relu(tn.linear(x, state["w0"], state["b0"]))
    x = tn.relu(tn.linear(x, state["w1"], state["b1"]))
    return tn.cross_entropy(tn.linear(x, state["w2"], state["b2"]), y)


def _mlp_torch(state: Tree, x: Tree, y: Tree) -> Tree:
    x = F.relu(F.linear(x, state["w0"], state["b0"]))
    x = F.relu(F.linear(x, state["w1"], state["b1"]))
    return F.cross_entropy(F.linear(x, state["w2"], state["b2"]), y)


def _mlp_jax(state: Tree, x: Tree, y: Tree) -> Tree:
    x = jax.nn.relu(x @ state["w0"].T + state["b0"])
    x = jax.nn.relu(x @ state["w1"].T + state["b1"])
    return _jax_cross_entropy(x @ state["w2"].T + state["b2"], y)


# Two convolutions with pooling, two linear layers.


def _cnn_inputs(rng: np.random.Generator) -> tuple[Tree, ...]:
    state = {
        "c0": weight(rng, 16, 1, 3, 3),
        "c1": weight(rng, 32, 16, 3, 3),
        "w0": weight(rng, 64, 32 * 7 * 7),
        "b0": np.zeros(64, np.float32),
        "w1": weight(rng, 10, 64),
        "b1": np.zeros(10, np.float32),
    }
    return state, normal(rng, 64, 1, 28, 28), rng.integers(0, 10, 64)


def _cnn(state: Tree, x: Tree, y: Tree) -> Tree:
    x = tn.max_pool2d(tn.relu(tn.conv2d(x, state["c0"], padding=1)), 2)
    x = tn.max_pool2d(tn.relu(tn.conv2d(x, state["c1"], padding=1)), 2)
    x = tn.relu(tn.linear(x.flatten(1), state["w0"], state["b0"]))
    return tn.cross_entropy(tn.linear(x, state["w1"], state["b1"]), y)


def _cnn_torch(state: Tree, x: Tree, y: Tree) -> Tree:
    x = F.max_pool2d(F.relu(F.conv2d(x, state["c0"], padding=1)), 2)
    x = F.max_pool2d(F.relu(F.conv2d(x, state["c1"], padding=1)), 2)
    x = F.relu(F.linear(x.flatten(1), state["w0"], state["b0"]))
    return F.cross_entropy(F.linear(x, state["w1"], state["b1"]), y)


def _cnn_jax(state: Tree, x: Tree, y: Tree) -> Tree:
    x = jax_max_pool2d(jax.nn.relu(jax_conv2d(x, state["c0"], padding=1)), 2, 2)
    x = jax_max_pool2d(jax.nn.relu(jax_conv2d(x, state["c1"], padding=1)), 2, 2)
    x = jax.nn.relu(x.reshape(x.shape[0], -1) @ state["w0"].T + state["b0"])
    return _jax_cross_entropy(x @ state["w1"].T + state["b1"], y)


# A residual block (He et al., 2015) with batch normalisation in training mode.


def _block_inputs(rng: np.random.Generator) -> tuple[Tree, ...]:
    state = {"c0": weight(rng, 64, 64, 3, 3), "c1": weight(rng, 64, 64, 3, 3)}
    for number in range(2):
        state |= {f"g{number}": np.ones(64, np.float32), f"b{number}": np.zeros(64, np.float32)}
    return state, normal(rng, 8, 64, 28, 28), normal(rng, 8, 64, 28, 28)


def _block(state: Tree, x: Tree, y: Tree) -> Tree:
    inner = tn.conv2d(x, state["c0"], padding=1)
    inner = tn.relu(tn.batch_norm(inner, None, None, state["g0"], state["b0"], training=True))
    inner = tn.conv2d(inner, state["c1"], padding=1)
    inner = tn.batch_norm(inner, None, None, state["g1"], state["b1"], training=True)
    return tn.mse_loss(tn.relu(inner + x), y)


def _block_torch(state: Tree, x: Tree, y: Tree) -> Tree:
    inner = F.conv2d(x, state["c0"], padding=1)
    inner = F.relu(F.batch_norm(inner, None, None, state["g0"], state["b0"], training=True))
    inner = F.conv2d(inner, state["c1"], padding=1)
    inner = F.batch_norm(inner, None, None, state["g1"], state["b1"], training=True)
    return F.mse_loss(F.relu(inner + x), y)


def _jax_batch_norm(x: jax.Array, gain: jax.Array, bias: jax.Array) -> jax.Array:
    x = jax.nn.standardize(x, axis=(0, 2, 3), epsilon=1e-5)
    return x * gain[:, None, None] + bias[:, None, None]


def _block_jax(state: Tree, x: Tree, y: Tree) -> Tree:
    inner = jax.nn.relu(_jax_batch_norm(jax_conv2d(x, state["c0"], padding=1), state["g0"], state["b0"]))
    inner = _jax_batch_norm(jax_conv2d(inner, state["c1"], padding=1), state["g1"], state["b1"])
    return jnp.mean((jax.nn.relu(inner + x) - y) ** 2)


# A transformer block: 4 sequences of 128, width 256, 4 heads.

_WIDTH, _HEADS = 256, 4


def _transformer_inputs(rng: np.random.Generator) -> tuple[Tree, ...]:
    state = {
        "qkv": weight(rng, 3 * _WIDTH, _WIDTH),
        "out": weight(rng, _WIDTH, _WIDTH),
        "up": weight(rng, 4 * _WIDTH, _WIDTH),
        "up_bias": np.zeros(4 * _WIDTH, np.float32),
        "down": weight(rng, _WIDTH, 4 * _WIDTH),
        "down_bias": np.zeros(_WIDTH, np.float32),
    }
    for number in range(2):
        state |= {f"g{number}": np.ones(_WIDTH, np.float32), f"b{number}": np.zeros(_WIDTH, np.float32)}
    return state, normal(rng, 4, 128, _WIDTH), normal(rng, 4, 128, _WIDTH)


def _heads(x: Tree) -> Tree:
    """(batch, length, width) as (batch, heads, length, depth), in PyTorch's and our words."""
    return x.reshape(x.shape[0], x.shape[1], _HEADS, -1).transpose(1, 2)


def _transformer(state: Tree, x: Tree, y: Tree) -> Tree:
    qkv = tn.linear(tn.layer_norm(x, (_WIDTH,), state["g0"], state["b0"]), state["qkv"])
    q, k, v = (_heads(part) for part in tn.split(qkv, _WIDTH, dim=-1))
    mixed = tn.scaled_dot_product_attention(q, k, v, is_causal=True)
    x = x + tn.linear(mixed.transpose(1, 2).reshape(x.shape), state["out"])
    inner = tn.layer_norm(x, (_WIDTH,), state["g1"], state["b1"])
    inner = tn.gelu(tn.linear(inner, state["up"], state["up_bias"]))
    return tn.mse_loss(x + tn.linear(inner, state["down"], state["down_bias"]), y)


def _transformer_torch(state: Tree, x: Tree, y: Tree) -> Tree:
    qkv = F.linear(F.layer_norm(x, (_WIDTH,), state["g0"], state["b0"]), state["qkv"])
    q, k, v = (_heads(part) for part in torch.split(qkv, _WIDTH, dim=-1))
    mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    x = x + F.linear(mixed.transpose(1, 2).reshape(x.shape), state["out"])
    inner = F.layer_norm(x, (_WIDTH,), state["g1"], state["b1"])
    inner = F.gelu(F.linear(inner, state["up"], state["up_bias"]))
    return F.mse_loss(x + F.linear(inner, state["down"], state["down_bias"]), y)


def _transformer_jax(state: Tree, x: Tree, y: Tree) -> Tree:
    qkv = _jax_layer_norm(x, state["g0"], state["b0"]) @ state["qkv"].T
    q, k, v = (part.reshape(*x.shape[:2], _HEADS, -1).transpose(0, 2, 1, 3) for part in jnp.split(qkv, 3, axis=-1))
    mixed = jax_attention(q, k, v, causal=True)
    x = x + mixed.transpose(0, 2, 1, 3).reshape(x.shape) @ state["out"].T
    inner = _jax_layer_norm(x, state["g1"], state["b1"])
    inner = jax.nn.gelu(inner @ state["up"].T + state["up_bias"], approximate=False)
    return jnp.mean((x + inner @ state["down"].T + state["down_bias"] - y) ** 2)


# An LSTM (Hochreiter and Schmidhuber, 1997) over 64 steps of 32 sequences.

_STEPS, _SEQUENCES, _INPUTS, _HIDDEN = 64, 32, 64, 128


def _lstm_inputs(rng: np.random.Generator) -> tuple[Tree, ...]:
    scale = 1 / math.sqrt(_HIDDEN)
    state = {
        "wx": normal(rng, 4 * _HIDDEN, _INPUTS, scale=scale),
        "wh": normal(rng, 4 * _HIDDEN, _HIDDEN, scale=scale),
        "b": np.zeros(4 * _HIDDEN, np.float32),
    }
    return state, normal(rng, _STEPS, _SEQUENCES, _INPUTS), normal(rng, _SEQUENCES, _HIDDEN, scale=0.5)


def _lstm(state: Tree, x: Tree, y: Tree) -> Tree:
    hidden = cell = tn.zeros((_SEQUENCES, _HIDDEN))
    for step in range(_STEPS):
        gates = x[step] @ state["wx"].T + hidden @ state["wh"].T + state["b"]
        keep_in, keep, new, out = tn.split(gates, _HIDDEN, dim=-1)
        cell = tn.sigmoid(keep) * cell + tn.sigmoid(keep_in) * tn.tanh(new)
        hidden = tn.sigmoid(out) * tn.tanh(cell)
    return tn.mse_loss(hidden, y)


def _lstm_torch(state: Tree, x: Tree, y: Tree) -> Tree:
    start = torch.zeros(1, _SEQUENCES, _HIDDEN)
    weights = [state["wx"], state["wh"], state["b"], torch.zeros(4 * _HIDDEN)]
    _, hidden, _ = torch.lstm(x, (start, start), weights, True, 1, 0.0, True, False, False)
    return F.mse_loss(hidden[0], y)


def _lstm_jax(state: Tree, x: Tree, y: Tree) -> Tree:
    def turn(carry: Tree, row: jax.Array) -> tuple[Tree, None]:
        hidden, cell = carry
        gates = row @ state["wx"].T + hidden @ state["wh"].T + state["b"]
        keep_in, keep, new, out = jnp.split(gates, 4, axis=-1)
        cell = jax.nn.sigmoid(keep) * cell + jax.nn.sigmoid(keep_in) * jnp.tanh(new)
        return (jax.nn.sigmoid(out) * jnp.tanh(cell), cell), None

    start = jnp.zeros((_SEQUENCES, _HIDDEN))
    (hidden, _), _ = jax.lax.scan(turn, (start, start), x)
    return jnp.mean((hidden - y) ** 2)


_PAIRS = 128 * (784 * 512 + 512 * 256 + 256 * 10)
_CNN_PAIRS = 64 * (28 * 28 * 16 * 9 + 14 * 14 * 32 * 16 * 9 + 32 * 7 * 7 * 64 + 640)
_BLOCK_PAIRS = 2 * 8 * 28 * 28 * 64 * 64 * 9
_TRANSFORMER_PAIRS = 512 * (12 * _WIDTH**2 + 2 * 128 * _WIDTH)
_LSTM_PAIRS = _STEPS * _SEQUENCES * 4 * _HIDDEN * (_INPUTS + _HIDDEN)
"""Multiplications and additions of the forward passes; a step does each product thrice."""

CASES = (
    Case(
        _THEME,
        "MLP 784-512-256-10 b128",
        _mlp_inputs,
        Functions(tenfold=_mlp, torch=_mlp_torch, jax=_mlp_jax),
        Mode.STEP,
        flops=6 * _PAIRS,
        tolerance=1e-3,
    ),
    Case(
        _THEME,
        "CNN b64 28x28",
        _cnn_inputs,
        Functions(tenfold=_cnn, torch=_cnn_torch, jax=_cnn_jax),
        Mode.STEP,
        flops=6 * _CNN_PAIRS,
        tolerance=1e-3,
    ),
    Case(
        _THEME,
        "ResNet block b8",
        _block_inputs,
        Functions(tenfold=_block, torch=_block_torch, jax=_block_jax),
        Mode.STEP,
        flops=6 * _BLOCK_PAIRS,
        tolerance=1e-3,
    ),
    Case(
        _THEME,
        "transformer block b4 t128 d256",
        _transformer_inputs,
        Functions(tenfold=_transformer, torch=_transformer_torch, jax=_transformer_jax),
        Mode.STEP,
        flops=6 * _TRANSFORMER_PAIRS,
        tolerance=1e-3,
    ),
    Case(
        _THEME,
        "LSTM 64 steps",
        _lstm_inputs,
        Functions(tenfold=_lstm, torch=_lstm_torch, jax=_lstm_jax),
        Mode.STEP,
        flops=6 * _LSTM_PAIRS,
        tolerance=1e-3,
    ),
)
