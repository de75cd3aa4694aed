"""Row kernels: normalisations and activations along the last axis, for wide, odd and very narrow rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own name for it

import tenfold as tn
from benchmarks.cpu.case import Case, Functions, Tree, normal

_SHAPES = ((4096, 1024), (65536, 37), (262144, 3))


def _jax_layer_norm(x: jax.Array, w: jax.Array, b: jax.Array) -> jax.Array:
    return jax.nn.standardize(x, axis=-1, epsilon=1e-5) * w + b


def _jax_rms_norm(x: jax.Array, w: jax.Array) -> jax.Array:
    return x * jax.lax.rsqrt(jnp.mean(jnp.square(x), axis=-1, keepdims=True) + 1e-6) * w


def _jax_cross_entropy(x: jax.Array, y: jax.Array) -> jax.Array:
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(x), y[:, None], axis=1))


def _cases(rows: int, columns: int) -> Iterator[Case]:
    size = 4 * rows * columns

    def case(name: str, functions: Functions, extra: int, moved: int) -> Case:
        def inputs(rng: np.random.Generator) -> tuple[Tree, ...]:
            return (normal(rng, rows, columns), *(normal(rng, columns) for _ in range(extra)))

        return Case("rows", f"{name} {rows}x{columns}", inputs, functions, bytes=moved * size)

    yield case(
        "softmax",
        Functions(
            tenfold=lambda x: tn.softmax(x, dim=-1),
            torch=lambda x: torch.softmax(x, dim=-1),
            jax=lambda x: jax.nn.softmax(x, axis=-1),
        ),
        0,
        2,
    )
    yield case(
        "layer norm",
        Functions(
            tenfold=lambda x, w, b: tn.layer_norm(x, (columns,), w, b),
            torch=lambda x, w, b: F.layer_norm(x, (columns,), w, b),
            jax=_jax_layer_norm,
        ),
        2,
        2,
    )
    yield case(
        "rms norm",
        Functions(
            tenfold=lambda x, w: tn.rms_norm(x, (columns,), w, eps=1e-6),
            torch=lambda x, w: F.rms_norm(x, (columns,), w, eps=1e-6),
            jax=_jax_rms_norm,
        ),
        1,
        2,
    )
    yield case(
        "gelu(x + b)",
        Functions(
            tenfold=lambda x, b: tn.gelu(x + b),
            torch=lambda x, b: F.gelu(x + b),
            jax=lambda x, b: jax.nn.gelu(x + b, approximate=False),
        ),
        1,
        2,
    )
    yield Case(
        "rows",
        f"log-softmax + cross-entropy {rows}x{columns}",
        _with_classes(rows, columns),
        Functions(
            tenfold=lambda x, y: tn.cross_entropy(x, y),
            torch=lambda x, y: F.cross_entropy(x, y),
            jax=_jax_cross_entropy,
        ),
        bytes=size,
    )


def _with_classes(rows: int, columns: int) -> Callable[[np.random.Generator], tuple[Tree, ...]]:
    return lambda rng: (normal(rng, rows, columns), rng.integers(0, columns, rows))


CASES = tuple(case for rows, columns in _SHAPES for case in _cases(rows, columns))
