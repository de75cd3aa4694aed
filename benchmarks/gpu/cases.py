"""The cases for a GPU: large enough to fill it; whatever is small is launched more than it is computed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own name for it

import tenfold as tn
from benchmarks.cpu import training
from benchmarks.cpu.attention import jax_attention
from benchmarks.cpu.case import Case, Functions, Mode, Tree, everywhere, normal

_BF16 = "bfloat16"


def _product(m: int, n: int, k: int, dtype: str) -> Case:
    """(m, k) times (k, n)."""
    name = f"{m}^3" if m == n == k else f"{m}x{n}x{k}"
    return Case(
        "products",
        f"{name} {dtype}",
        lambda rng: (normal(rng, m, k, dtype=dtype), normal(rng, k, n, dtype=dtype)),
        everywhere(lambda x, w: x @ w),
        flops=2 * m * n * k,
        tolerance=2e-2 if dtype == _BF16 else 1e-4,
    )


def _rows(rows: int, columns: int, dtype: str) -> Iterator[Case]:
    """What is done along the rows of a matrix; all but a sum read and write it once."""
    size = rows * columns * (2 if dtype == _BF16 else 4)

    def case(name: str, functions: Functions, moved: int = 2) -> Case:
        return Case(
            "rows",
            f"{name} {rows}x{columns} {dtype}",
            lambda rng: (normal(rng, rows, columns, dtype=dtype),),
            functions,
            bytes=moved * size,
            tolerance=2e-2 if dtype == _BF16 else 1e-4,
        )

    yield case("softmax", Functions(tenfold=_softmax, torch=_torch_softmax, jax=jax.nn.softmax))
    yield case(
        "layer norm",
        Functions(
            tenfold=lambda x: tn.layer_norm(x, (columns,)),
            torch=lambda x: F.layer_norm(x, (columns,)),
            jax=lambda x: jax.nn.standardize(x, axis=-1, epsilon=1e-5),
        ),
    )
    yield case(
        "gelu",
        Functions(tenfold=tn.gelu, torch=F.gelu, jax=lambda x: jax.nn.gelu(x, approximate=False)),
    )
    yield case("sum of rows", everywhere(lambda x: x.sum(-1)), moved=1)
    yield case("sum of columns", everywhere(lambda x: x.sum(0)), moved=1)
    yield case("sum of all", everywhere(lambda x: x.sum()), moved=1)


def _softmax(x: Tree) -> Tree:
    return tn.softmax(x, dim=-1)


def _torch_softmax(x: torch.Tensor) -> torch.Tensor:
    return torch.softmax(x, dim=-1)


def _chain(size: int) -> Case:
    """Ten elementwise operations of two vectors."""
    return Case(
        "elementwise",
        f"chain {size >> 20}M float32",
        lambda rng: (normal(rng, size), normal(rng, size)),
        Functions(
            tenfold=lambda x, y: tn.tanh(x * y + 1) * tn.exp(-x * x) + tn.sqrt(tn.abs(y)) * 0.5,
            torch=lambda x, y: torch.tanh(x * y + 1) * torch.exp(-x * x) + torch.sqrt(torch.abs(y)) * 0.5,
            jax=lambda x, y: jnp.tanh(x * y + 1) * jnp.exp(-x * x) + jnp.sqrt(jnp.abs(y)) * 0.5,
        ),
        bytes=3 * 4 * size,
    )


def _transposed(size: int) -> Case:
    return Case(
        "elementwise",
        f"x + x.T {size}^2 float32",
        lambda rng: (normal(rng, size, size),),
        everywhere(lambda x: x + x.T),
        bytes=3 * 4 * size * size,
    )


def _attention(causal: bool, mode: Mode, dtype: str = _BF16) -> Case:
    """8 sequences of 2048 in 16 heads of 64."""
    batch, heads, length, depth = 8, 16, 2048, 64

    def ours(q: Tree, k: Tree, v: Tree) -> Tree:
        return tn.scaled_dot_product_attention(q, k, v, is_causal=causal)

    def torchs(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return F.scaled_dot_product_attention(q, k, v, is_causal=causal)

    def jaxs(q: jax.Array, k: jax.Array, v: jax.Array) -> jax.Array:
        return jax_attention(q, k, v, causal)

    functions = Functions(tenfold=ours, torch=torchs, jax=jaxs)
    if mode is Mode.GRADIENT:
        functions = Functions(
            tenfold=lambda q, k, v: tn.sum(ours(q, k, v) ** 2),
            torch=lambda q, k, v: torch.sum(torchs(q, k, v) ** 2),
            jax=lambda q, k, v: jnp.sum(jaxs(q, k, v) ** 2),
        )
    products = 2 if mode is Mode.CALL else 7
    return Case(
        "attention",
        f"{'causal' if causal else 'full'} {'forward' if mode is Mode.CALL else 'gradient'} {dtype}",
        lambda rng: tuple(normal(rng, batch, heads, length, depth, dtype=dtype) for _ in range(3)),
        functions,
        mode,
        flops=products * 2 * batch * heads * length**2 * depth / (2 if causal else 1),
        tolerance=5e-2,
    )


def _random_rows(rng: np.random.Generator) -> tuple[Tree, ...]:
    return normal(rng, 1 << 20, 64), rng.integers(0, 1 << 20, 1 << 20)


_GATHER = Case(
    "indexed",
    "gather of 1M rows of 64 float32",
    _random_rows,
    everywhere(lambda x, i: x[i]),
    bytes=2 * 4 * 64 * (1 << 20),
)

_STEPS = tuple(replace(case, theme="training") for case in training.CASES if "LSTM" not in case.name)

CASES: tuple[Case, ...] = (
    *(_product(n, n, n, _BF16) for n in (1024, 2048, 4096, 8192)),
    *(_product(n, n, n, "float32") for n in (1024, 4096)),
    _product(1, 8192, 8192, _BF16),
    _product(64, 8192, 8192, _BF16),
    _product(16384, 256, 256, _BF16),
    _product(256, 256, 65536, _BF16),
    _product(1, 8192, 8192, "float32"),
    _chain(1 << 26),
    _transposed(8192),
    *_rows(16384, 4096, "float32"),
    *_rows(16384, 4096, _BF16),
    _GATHER,
    *(_attention(causal, mode) for mode in (Mode.CALL, Mode.GRADIENT) for causal in (False, True)),
    *_STEPS,
)
