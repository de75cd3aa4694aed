"""Elementwise programs: one pass over memory at best."""

from __future__ import annotations

import jax.numpy as jnp
import torch

import tenfold as tn
from benchmarks.cpu.case import Case, Functions, everywhere, normal

_MANY = 4 * 1024 * 1024
_SIDE = 4096

CASES = (
    Case(
        "elementwise",
        "chain 4M",
        lambda rng: (normal(rng, _MANY), normal(rng, _MANY)),
        Functions(
            tenfold=lambda x, y: tn.tanh(x * y + 1.5) * tn.exp(-x * x) + tn.sqrt(tn.abs(y)),
            torch=lambda x, y: torch.tanh(x * y + 1.5) * torch.exp(-x * x) + torch.sqrt(torch.abs(y)),
            jax=lambda x, y: jnp.tanh(x * y + 1.5) * jnp.exp(-x * x) + jnp.sqrt(jnp.abs(y)),
        ),
        bytes=3 * 4 * _MANY,
    ),
    Case(
        "elementwise",
        "arithmetic 4M",
        lambda rng: (normal(rng, _MANY), normal(rng, _MANY)),
        everywhere(lambda x, y: (x - y) * (x + y) * 0.5 + x),
        bytes=3 * 4 * _MANY,
    ),
    Case(
        "elementwise",
        "x + x.T 4096",
        lambda rng: (normal(rng, _SIDE, _SIDE),),
        everywhere(lambda x: x + x.T),
        bytes=2 * 4 * _SIDE**2,
    ),
)
