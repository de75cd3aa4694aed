"""Attention over 4 sequences of 512, 8 heads of 64: forward and with its gradients, causal and not."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own name for it

import tenfold as tn
from benchmarks.cpu.case import Case, Functions, Mode, normal

_BATCH, _HEADS, _LENGTH, _DEPTH = 4, 8, 512, 64


def jax_attention(q: jax.Array, k: jax.Array, v: jax.Array, causal: bool) -> jax.Array:
    """PyTorch's attention in JAX."""
    scores = q @ jnp.swapaxes(k, -1, -2) / math.sqrt(q.shape[-1])
    if causal:
        mask = jnp.tril(jnp.ones(scores.shape[-2:], dtype=bool))
        scores = jnp.where(mask, scores, -jnp.inf)
    return jax.nn.softmax(scores, axis=-1) @ v


def _attention(causal: bool) -> Functions:
    return Functions(
        tenfold=lambda q, k, v: tn.scaled_dot_product_attention(q, k, v, is_causal=causal),
        torch=lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=causal),
        jax=lambda q, k, v: jax_attention(q, k, v, causal),
    )


def _summed(functions: Functions) -> Functions:
    """The sum of a result's squares, whose gradient is wanted."""
    ours, torchs, jaxs = functions["tenfold"], functions["torch"], functions["jax"]
    return Functions(
        tenfold=lambda q, k, v: tn.sum(ours(q, k, v) ** 2),
        torch=lambda q, k, v: torch.sum(torchs(q, k, v) ** 2),
        jax=lambda q, k, v: jnp.sum(jaxs(q, k, v) ** 2),
    )


def _case(causal: bool, mode: Mode) -> Case:
    kind = "causal" if causal else "full"
    functions = _attention(causal)
    products = 2 if mode is Mode.CALL else 6
    return Case(
        "attention",
        f"{kind} forward" if mode is Mode.CALL else f"{kind} gradient",
        lambda rng: tuple(normal(rng, _BATCH, _HEADS, _LENGTH, _DEPTH) for _ in range(3)),
        functions if mode is Mode.CALL else _summed(functions),
        mode,
        flops=products * 2 * _BATCH * _HEADS * _LENGTH**2 * _DEPTH / (2 if causal else 1),
        tolerance=1e-3,
    )


CASES = tuple(_case(causal, mode) for mode in (Mode.CALL, Mode.GRADIENT) for causal in (False, True))
