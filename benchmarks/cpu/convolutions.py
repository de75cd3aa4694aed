"""Convolutions of ResNet's shapes, depthwise and one-dimensional ones, and pooling."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import torch.nn.functional as F  # noqa: N812 - PyTorch's own name for it

import tenfold as tn
from benchmarks.cpu.case import Case, Functions, normal, weight

_THEME = "convolutions"


def jax_conv2d(x: jax.Array, w: jax.Array, stride: int = 1, padding: int = 0, groups: int = 1) -> jax.Array:
    """PyTorch's `conv2d` in JAX."""
    pads = [(padding, padding)] * 2
    return jax.lax.conv_general_dilated(x, w, (stride, stride), pads, feature_group_count=groups)


def jax_max_pool2d(x: jax.Array, size: int, stride: int, padding: int = 0) -> jax.Array:
    """PyTorch's `max_pool2d` in JAX."""
    pads = [(0, 0), (0, 0), (padding, padding), (padding, padding)]
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 1, size, size), (1, 1, stride, stride), pads)


def _conv2d(
    name: str, batch: int, channels: int, outputs: int, side: int, size: int, stride: int = 1, groups: int = 1
) -> Case:
    padding = size // 2
    result = (side + 2 * padding - size) // stride + 1
    return Case(
        _THEME,
        f"{name} {channels}->{outputs} {side}^2 n{batch}",
        lambda rng: (
            normal(rng, batch, channels, side, side),
            weight(rng, outputs, channels // groups, size, size),
        ),
        Functions(
            tenfold=lambda x, w: tn.conv2d(x, w, stride=stride, padding=padding, groups=groups),
            torch=lambda x, w: F.conv2d(x, w, stride=stride, padding=padding, groups=groups),
            jax=lambda x, w: jax_conv2d(x, w, stride, padding, groups),
        ),
        flops=2 * batch * outputs * result**2 * (channels // groups) * size**2,
    )


CASES = (
    *(_conv2d("conv 3x3", batch, 64, 64, 56, 3) for batch in (1, 8)),
    *(_conv2d("conv 3x3", batch, 256, 256, 14, 3) for batch in (1, 8)),
    *(_conv2d("conv 1x1", batch, 256, 64, 56, 1) for batch in (1, 8)),
    _conv2d("conv 3x3 /2", 1, 128, 256, 28, 3, stride=2),
    _conv2d("conv 7x7 /2", 1, 3, 64, 224, 7, stride=2),
    *(_conv2d("depthwise 3x3", batch, 128, 128, 56, 3, groups=128) for batch in (1, 8)),
    Case(
        _THEME,
        "conv1d 5 64->64 1024 n8",
        lambda rng: (normal(rng, 8, 64, 1024), weight(rng, 64, 64, 5)),
        Functions(
            tenfold=lambda x, w: tn.conv1d(x, w, padding=2),
            torch=lambda x, w: F.conv1d(x, w, padding=2),
            jax=lambda x, w: jax.lax.conv_general_dilated(x, w, (1,), [(2, 2)]),
        ),
        flops=2 * 8 * 64 * 64 * 5 * 1024,
    ),
    Case(
        _THEME,
        "max pool 3x3 /2 64 112^2 n8",
        lambda rng: (normal(rng, 8, 64, 112, 112),),
        Functions(
            tenfold=lambda x: tn.max_pool2d(x, 3, stride=2, padding=1),
            torch=lambda x: F.max_pool2d(x, 3, stride=2, padding=1),
            jax=lambda x: jax_max_pool2d(x, 3, 2, 1),
        ),
        bytes=4 * 8 * 64 * (112**2 + 56**2),
    ),
)
